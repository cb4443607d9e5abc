#include "proxy/guard.h"

#include <ifaddrs.h>
#include <sched.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <functional>
#include <string_view>
#include <thread>

#include "net/route.h"

namespace warder::proxy {
namespace {

using Ranges = std::vector<net::IpRange>;

net::IpAddress ip(std::string_view text) { return net::IpAddress::parse(text).value(); }
net::IpRange range(std::string_view text) { return net::IpRange::parse(text).value(); }

const Ranges& everything() {
  static const Ranges all{range("0.0.0.0/0"), range("::/0")};
  return all;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("Guard lets public addresses pass") {
  const AddressGuard guard({});
  for (const auto* address :
       {"8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"}) {
    CAPTURE(address);
    CHECK(guard.objection(ip(address), 443, {}).empty());
  }
}

TEST_CASE("Guard lets other addresses pass only within allowed_ips") {
  const AddressGuard guard({});
  CHECK(guard.objection(ip("10.1.2.3"), 443, {}) ==
        "10.1.2.3 is a private address and not in the policy's allowed_ips");
  CHECK(guard.objection(ip("10.1.2.3"), 443, {range("10.1.2.0/24")}).empty());
  CHECK_FALSE(guard.objection(ip("10.1.3.3"), 443, {range("10.1.2.0/24")}).empty());
  CHECK(guard.objection(ip("fd12::1"), 443, {range("fd12::/16")}).empty());
  CHECK_FALSE(guard.objection(ip("fd12::1"), 443, {range("0.0.0.0/0")}).empty());
  for (const auto* address : {"::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1",
                              "::10.1.2.3", "2001:0:4136:e378:8000:63bf:f5fe:fdfc"}) {
    CAPTURE(address);
    CHECK(contains(guard.objection(ip(address), 443, {}), "leads to 10.1.2.3, which is a private"));
    CHECK(guard.objection(ip(address), 443, {range("10.0.0.0/8")}).empty());
  }
}

TEST_CASE("Guard blocks some addresses whatever the policy allows") {
  const AddressGuard guard({});
  for (const auto* address : {"127.0.0.1",
                              "127.8.8.8",
                              "::1",
                              "0.0.0.0",
                              "0.1.2.3",
                              "::",
                              "169.254.1.1",
                              "169.254.169.254",
                              "fe80::1",
                              "fd00:ec2::254",
                              "100.100.100.200",
                              "224.0.0.1",
                              "ff02::1",
                              "255.255.255.255",
                              "240.0.0.1",
                              "::ffff:127.0.0.1",
                              "64:ff9b::169.254.169.254",
                              "2002:7f00:1::1",
                              "::ffff:0.0.0.0",
                              "::127.0.0.1",
                              "2001:0:4136:e378:8000:63bf:80ff:fffe"}) {
    CAPTURE(address);
    CHECK(contains(guard.objection(ip(address), 443, everything()), "always blocked"));
  }
  const AddressGuard more({false, {range("203.0.113.0/24"), range("2001:db8::/32")}, {}});
  CHECK_FALSE(more.objection(ip("203.0.113.9"), 443, everything()).empty());
  CHECK_FALSE(more.objection(ip("::ffff:203.0.113.9"), 443, everything()).empty());
  CHECK_FALSE(more.objection(ip("2001:db8::1"), 443, everything()).empty());
  CHECK(guard.objection(ip("203.0.113.9"), 443, everything()).empty());
}

TEST_CASE("Guard treats loopback like a private address when it is told to") {
  const AddressGuard guard({true, {}, {}});
  for (const auto* address : {"127.0.0.1", "::1", "::ffff:127.0.0.1"}) {
    CAPTURE(address);
    CHECK(contains(guard.objection(ip(address), 443, {}), "not in the policy's allowed_ips"));
    CHECK(guard.objection(ip(address), 443, everything()).empty());
  }
  for (const auto* address : {"0.0.0.0", "::", "169.254.169.254", "255.255.255.255", "fe80::1"}) {
    CAPTURE(address);
    CHECK(contains(guard.objection(ip(address), 443, everything()), "always blocked"));
  }
}

TEST_CASE("Guard never lets anybody reach the proxy's own listeners") {
  const AddressGuard guard(
      {true,
       {},
       {{ip("127.0.0.1"), 3128}, {ip("0.0.0.0"), 3129}, {ip("::"), 8181}, {ip("8.8.8.8"), 53}}});
  const auto refused = [&guard](std::string_view address, std::uint16_t port) {
    return contains(guard.objection(ip(address), port, everything()), "listens");
  };
  CHECK(refused("127.0.0.1", 3128));
  CHECK(refused("::ffff:127.0.0.1", 3128));
  CHECK(refused("64:ff9b::127.0.0.1", 3128));
  CHECK_FALSE(refused("127.0.0.1", 3127));
  CHECK_FALSE(refused("127.0.0.2", 3128));
  CHECK(refused("127.0.0.1", 3129));
  CHECK(refused("127.7.7.7", 3129));
  CHECK(refused("127.0.0.1", 8181));
  CHECK(refused("::1", 8181));
  CHECK(refused("8.8.8.8", 53));
  CHECK_FALSE(refused("8.8.4.4", 3129));
}

TEST_CASE("Guard blocks every address of this machine's interfaces") {
  ifaddrs* list = nullptr;
  REQUIRE(::getifaddrs(&list) == 0);
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(list, &::freeifaddrs);
  const AddressGuard strict({});
  const AddressGuard lenient({true, {}, {{ip("0.0.0.0"), 3128}}});
  int seen = 0;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    const auto endpoint = net::Endpoint::from_sockaddr(
        entry->ifa_addr, entry->ifa_addr != nullptr && entry->ifa_addr->sa_family == AF_INET
                             ? sizeof(sockaddr_in)
                             : sizeof(sockaddr_in6));
    if (!endpoint) continue;
    ++seen;
    CAPTURE(endpoint->address.text());
    CHECK(contains(strict.objection(endpoint->address, 443, everything()), "always blocked"));
    CHECK_FALSE(lenient.objection(endpoint->address, 3128, everything()).empty());
  }
  CHECK(seen > 0);
}

// Runs `body` in a network namespace of its own, made up by the shell command; false when this user
// or this kernel can't have one. A thread has its own network namespace (unshare(2)).
bool in_namespace(const char* command, const std::function<void()>& body) {
  bool ran = false;
  std::thread([&] {
    if (::unshare(CLONE_NEWNET) != 0) return;
    // The command is this file's own.
    if (std::system(command) != 0) return;  // NOLINT(cert-env33-c)
    body();
    ran = true;
  }).join();
  return ran;
}

TEST_CASE("Guard asks the kernel what is local, also without an interface that has the address") {
  const char* const setup =
      "(ip link set lo up && (ip link add d0 type dummy || ip link add d0 type veth peer name d1) "
      "&& ip addr add 10.9.9.1/24 broadcast + dev d0 && ip link set d0 up "
      "&& ip addr add 5.6.7.8/32 dev lo && ip route add local 9.9.9.0/24 dev lo) >/dev/null 2>&1";
  std::vector<std::pair<const char*, std::string>> strict, lenient, unnamed;
  std::vector<net::RouteKind> kinds;
  const bool ran = in_namespace(setup, [&] {
    for (const auto* address :
         {"10.9.9.1", "5.6.7.8", "9.9.9.77", "10.9.9.255", "10.9.9.7", "8.8.8.8"}) {
      kinds.push_back(net::route_kind(ip(address)).value());
      strict.emplace_back(address, AddressGuard({}).objection(ip(address), 80, everything()));
      const AddressGuard allowing({true, {}, {}});
      lenient.emplace_back(address, allowing.objection(ip(address), 80, everything()));
      unnamed.emplace_back(address, allowing.objection(ip(address), 80, {}));
    }
  });
  if (!ran) SKIP("no network namespace to be had");
  CHECK(kinds == std::vector<net::RouteKind>{net::RouteKind::local, net::RouteKind::local,
                                             net::RouteKind::local, net::RouteKind::broadcast,
                                             net::RouteKind::remote, net::RouteKind::remote});
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(strict[i].first);
    CHECK(contains(strict[i].second, "an address of this host, which is always blocked"));
    CHECK(lenient[i].second.empty());
    CHECK(contains(unnamed[i].second, "an address of this host and not in"));
  }
  CHECK(contains(lenient[3].second, "broadcast"));
  CHECK(strict[4].second.empty());
  CHECK(contains(unnamed[4].second, "a private address"));
  CHECK(unnamed[5].second.empty());
}

}  // namespace
}  // namespace warder::proxy
