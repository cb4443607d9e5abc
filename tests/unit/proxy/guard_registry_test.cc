#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/guard.h"

namespace warder::proxy {
namespace {

using net::IpAddress;
using net::IpRange;
using Bytes = std::array<std::uint8_t, 16>;

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

// Whether an address may be dialled: by anybody, where a policy names it, or never.
enum class Reach { pass, named, never };

// On a host that has no address of its own.
GuardOptions options() {
  GuardOptions options;
  options.route = [](const IpAddress&) { return net::RouteKind::remote; };
  return options;
}

Reach reach(const IpAddress& address) {
  static const AddressGuard guard(options());
  static const std::vector<IpRange> everything{IpRange::parse("0.0.0.0/0").value(),
                                               IpRange::parse("::/0").value()};
  if (guard.objection(address, 443, {}).empty()) return Reach::pass;
  return guard.objection(address, 443, everything).empty() ? Reach::named : Reach::never;
}

IpAddress of_bytes(const IpAddress& family, const Bytes& bytes) {
  if (family.is_v6()) return IpAddress::v6(bytes);
  return IpAddress::v4({bytes[0], bytes[1], bytes[2], bytes[3]});
}

// `address` with `step` (1 or -1) added; nullopt where there is none.
std::optional<IpAddress> neighbour(const IpAddress& address, int step) {
  Bytes bytes{};
  std::copy_n(address.bytes(), address.size(), bytes.begin());
  for (std::size_t i = address.size(); i-- > 0;) {
    bytes[i] = static_cast<std::uint8_t>(bytes[i] + step);
    if (bytes[i] != (step > 0 ? 0x00 : 0xff)) return of_bytes(address, bytes);
  }
  return std::nullopt;
}

IpAddress last_of(const IpAddress& first, unsigned prefix) {
  Bytes bytes{};
  std::copy_n(first.bytes(), first.size(), bytes.begin());
  for (std::size_t bit = prefix; bit < first.size() * 8; ++bit) {
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] | (0x80U >> (bit % 8)));
  }
  return of_bytes(first, bytes);
}

struct Row {
  const char* first;
  unsigned prefix;
  Reach at_first, at_last, before, after;  // of nothing: as the neighbour
};

constexpr Reach kPass = Reach::pass;
constexpr Reach kNamed = Reach::named;
constexpr Reach kNever = Reach::never;

// Every entry of the IANA IPv4 Special-Purpose Address Registry (2025), and multicast.
constexpr std::array kIpv4{
    Row{"0.0.0.0", 8, kNever, kNever, kNever, kPass},
    Row{"0.0.0.0", 32, kNever, kNever, kNever, kNever},
    Row{"10.0.0.0", 8, kNamed, kNamed, kPass, kPass},
    Row{"100.64.0.0", 10, kNamed, kNamed, kPass, kPass},
    Row{"127.0.0.0", 8, kNever, kNever, kPass, kPass},
    Row{"169.254.0.0", 16, kNever, kNever, kPass, kPass},
    Row{"172.16.0.0", 12, kNamed, kNamed, kPass, kPass},
    Row{"192.0.0.0", 24, kNamed, kNamed, kPass, kPass},
    Row{"192.0.0.0", 29, kNamed, kNamed, kPass, kNamed},
    Row{"192.0.0.8", 32, kNamed, kNamed, kNamed, kPass},
    Row{"192.0.0.9", 32, kPass, kPass, kNamed, kPass},
    Row{"192.0.0.10", 32, kPass, kPass, kPass, kNamed},
    Row{"192.0.0.170", 32, kNamed, kNamed, kNamed, kNamed},
    Row{"192.0.0.171", 32, kNamed, kNamed, kNamed, kNamed},
    Row{"192.0.2.0", 24, kNamed, kNamed, kPass, kPass},
    Row{"192.31.196.0", 24, kPass, kPass, kPass, kPass},
    Row{"192.52.193.0", 24, kPass, kPass, kPass, kPass},
    Row{"192.88.99.0", 24, kNamed, kNamed, kPass, kPass},
    Row{"192.88.99.2", 32, kNamed, kNamed, kNamed, kNamed},
    Row{"192.168.0.0", 16, kNamed, kNamed, kPass, kPass},
    Row{"192.175.48.0", 24, kPass, kPass, kPass, kPass},
    Row{"198.18.0.0", 15, kNamed, kNamed, kPass, kPass},
    Row{"198.51.100.0", 24, kNamed, kNamed, kPass, kPass},
    Row{"203.0.113.0", 24, kNamed, kNamed, kPass, kPass},
    Row{"224.0.0.0", 4, kNever, kNever, kPass, kNever},
    Row{"240.0.0.0", 4, kNever, kNever, kNever, kNever},
    Row{"255.255.255.255", 32, kNever, kNever, kNever, kNever},
};

// Every entry of the IANA IPv6 Special-Purpose Address Registry (2025), multicast, and the
// site-local addresses of old. The edges of ranges that embed IPv4 lead to 0.0.0.0 and
// 255.255.255.255. What is outside 2000::/3 was never given out to anybody.
constexpr std::array kIpv6{
    Row{"::", 128, kNever, kNever, kNever, kNever},
    Row{"::1", 128, kNever, kNever, kNever, kNever},
    Row{"::ffff:0:0", 96, kNever, kNever, kNamed, kNamed},
    Row{"64:ff9b::", 96, kNever, kNever, kNamed, kNamed},
    Row{"64:ff9b:1::", 48, kNamed, kNever, kNamed, kNamed},
    Row{"100::", 64, kNamed, kNamed, kNamed, kNamed},
    Row{"100:0:0:1::", 64, kNamed, kNamed, kNamed, kNamed},
    Row{"2001::", 23, kNever, kNamed, kPass, kPass},
    Row{"2001::", 32, kNever, kNever, kPass, kNamed},
    Row{"2001:1::1", 128, kPass, kPass, kNamed, kPass},
    Row{"2001:1::2", 128, kPass, kPass, kPass, kPass},
    Row{"2001:1::3", 128, kPass, kPass, kPass, kNamed},
    Row{"2001:2::", 48, kNamed, kNamed, kNamed, kNamed},
    Row{"2001:3::", 32, kPass, kPass, kNamed, kNamed},
    Row{"2001:4:112::", 48, kPass, kPass, kNamed, kNamed},
    Row{"2001:10::", 28, kNamed, kNamed, kNamed, kPass},
    Row{"2001:20::", 28, kPass, kPass, kNamed, kPass},
    Row{"2001:30::", 28, kPass, kPass, kPass, kNamed},
    Row{"2001:db8::", 32, kNamed, kNamed, kPass, kPass},
    Row{"2002::", 16, kNever, kNever, kPass, kPass},
    Row{"2620:4f:8000::", 48, kPass, kPass, kPass, kPass},
    Row{"3fff::", 20, kNamed, kNamed, kPass, kPass},
    Row{"5f00::", 16, kNamed, kNamed, kNamed, kNamed},
    Row{"fc00::", 7, kNamed, kNamed, kNamed, kNamed},
    Row{"fe80::", 10, kNever, kNever, kNamed, kNamed},
    Row{"fec0::", 10, kNamed, kNamed, kNever, kNever},
    Row{"ff00::", 8, kNever, kNever, kNamed, kNever},
};

void check_row(const Row& row) {
  const IpAddress first = ip(row.first);
  const IpAddress last = last_of(first, row.prefix);
  CAPTURE(row.first, row.prefix, last.text());
  CHECK(reach(first) == row.at_first);
  CHECK(reach(last) == row.at_last);
  CHECK(reach(neighbour(first, -1).value_or(first)) == row.before);
  CHECK(reach(neighbour(last, 1).value_or(last)) == row.after);
}

TEST_CASE("Guard holds the registry of special IPv4 addresses, edge by edge") {
  for (const Row& row : kIpv4) check_row(row);
}

TEST_CASE("Guard holds the registry of special IPv6 addresses, edge by edge") {
  for (const Row& row : kIpv6) check_row(row);
}

// An IPv6 address with an IPv4 address inside.
struct Form {
  const char* name;
  const char* base;  // its other bytes
  std::array<std::size_t, 4> at;
  bool inverted = false;
  Reach least = kPass;     // by what it is itself
  bool ambiguous = false;  // may be read in a stricter way too
};

constexpr std::array kForms{
    Form{"mapped", "::ffff:0:0", {12, 13, 14, 15}},
    Form{"translated", "::ffff:0:0:0", {12, 13, 14, 15}},
    Form{"compatible", "::", {12, 13, 14, 15}},
    Form{"NAT64", "64:ff9b::", {12, 13, 14, 15}},
    Form{"6to4", "2002:0:0:1::1", {2, 3, 4, 5}},
    Form{"Teredo, the client", "2001:0:4136:e378:8000:63bf:0:0", {12, 13, 14, 15}, true},
    // The client is 8.8.8.8.
    Form{"Teredo, the server", "2001:0:0:0:8000:63bf:f7f7:f7f7", {4, 5, 6, 7}},
    Form{"ISATAP", "2606:4700::5efe:0:0", {12, 13, 14, 15}},
    Form{"ISATAP, universal", "2606:4700::200:5efe:0:0", {12, 13, 14, 15}},
    Form{"ISATAP, private", "fd12::5efe:0:0", {12, 13, 14, 15}, false, kNamed},
    Form{"ISATAP, link-local", "fe80::5efe:0:0", {12, 13, 14, 15}, false, kNever},
    Form{"local NAT64, /48", "64:ff9b:1::", {6, 7, 9, 10}, false, kNamed, true},
    Form{"local NAT64, /56", "64:ff9b:1::", {7, 9, 10, 11}, false, kNamed, true},
    Form{"local NAT64, /64", "64:ff9b:1::", {9, 10, 11, 12}, false, kNamed, true},
    Form{"local NAT64, /96", "64:ff9b:1::", {12, 13, 14, 15}, false, kNamed},
};

IpAddress wrap(const Form& form, const IpAddress& inner) {
  Bytes bytes{};
  const IpAddress base = ip(form.base);
  std::copy_n(base.bytes(), bytes.size(), bytes.begin());
  for (std::size_t i = 0; i < form.at.size(); ++i) {
    bytes[form.at[i]] = static_cast<std::uint8_t>(inner.bytes()[i] ^ (form.inverted ? 0xff : 0));
  }
  return IpAddress::v6(bytes);
}

TEST_CASE("Guard sees IPv4 addresses inside of IPv6 addresses") {
  for (const Form& form : kForms) {
    for (const auto* text :
         {"8.8.8.8", "1.0.0.0", "223.255.255.255", "10.1.2.3", "172.31.255.255", "100.64.0.1",
          "192.168.0.1", "198.18.0.1", "127.0.0.1", "127.8.8.8", "169.254.169.254", "169.254.0.1",
          "100.100.100.200", "224.0.0.1", "240.0.0.1", "255.255.255.255"}) {
      const IpAddress address = wrap(form, ip(text));
      CAPTURE(form.name, text, address.text());
      const Reach expected = std::max(form.least, reach(ip(text)));
      // With one prefix length 223.255.255.255 is inside, with the next 255.255.255.0.
      CHECK((form.ambiguous ? std::max(reach(address), expected) : expected) == reach(address));
    }
  }
}

TEST_CASE("Guard sees listeners and blocked ranges inside of IPv6 addresses") {
  const std::vector<IpRange> everything{IpRange::parse("0.0.0.0/0").value(),
                                        IpRange::parse("::/0").value()};
  GuardOptions strict = options();
  strict.always_blocked = {IpRange::parse("8.8.9.0/24").value()};
  strict.own_listeners = {{ip("8.8.4.4"), 3128}};
  const AddressGuard guard(strict);
  for (const Form& form : kForms) {
    if (form.least == kNever) continue;
    CAPTURE(form.name);
    CHECK_FALSE(guard.objection(wrap(form, ip("8.8.4.4")), 3128, everything).empty());
    CHECK(guard.objection(wrap(form, ip("8.8.4.4")), 443, everything).empty());
    CHECK_FALSE(guard.objection(wrap(form, ip("127.0.0.1")), 443, everything).empty());
    CHECK_FALSE(guard.objection(wrap(form, ip("8.8.9.1")), 443, everything).empty());
  }
}

TEST_CASE("Guard lets a policy open what is private inside of an IPv6 address") {
  const AddressGuard guard(options());
  const auto opened = [&guard](std::string_view address, std::string_view range) {
    return guard.objection(ip(address), 443, {IpRange::parse(range).value()}).empty();
  };
  for (const auto* address : {"::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2606:4700::5efe:10.1.2.3"}) {
    CAPTURE(address);
    CHECK(opened(address, "10.0.0.0/8"));
    CHECK_FALSE(opened(address, "10.1.2.4/32"));
  }
  // The IPv6 address of a mapped one is no more than another way to write it.
  CHECK_FALSE(opened("::ffff:10.1.2.3", "::/0"));
  CHECK_FALSE(opened("64:ff9b::10.1.2.3", "64:ff9b::/96"));
  // One that is an address of its own can be named itself, and has to be where it is private.
  CHECK(opened("2606:4700::5efe:10.1.2.3", "2606:4700::/32"));
  CHECK(opened("64:ff9b:1::10.1.2.3", "64:ff9b:1::/48"));
  CHECK_FALSE(opened("64:ff9b:1::10.1.2.3", "10.0.0.0/8"));
  CHECK_FALSE(opened("fd12::5efe:10.1.2.3", "10.0.0.0/8"));
}

TEST_CASE("Guard keeps everybody from where OPA's name was found to lead") {
  OpaAddresses opa;
  GuardOptions with = options();
  with.allow_loopback = true;
  with.opa = &opa;
  const AddressGuard guard(with);
  const std::vector<IpRange> everything{IpRange::parse("0.0.0.0/0").value(),
                                        IpRange::parse("::/0").value()};
  CHECK(guard.objection(ip("10.1.2.3"), 8181, everything).empty());
  opa.found({ip("10.1.2.3"), ip("::ffff:10.1.2.4"), ip("2606:4700::1")}, 8181);
  opa.found({ip("10.1.2.3"), ip("127.0.0.1")}, 8181);
  for (const auto* address : {"10.1.2.3", "10.1.2.4", "2606:4700::1", "127.0.0.1",
                              "::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "::ffff:127.0.0.1"}) {
    CAPTURE(address);
    CHECK(guard.objection(ip(address), 8181, everything).find("policy server listens") !=
          std::string::npos);
    CHECK(guard.objection(ip(address), 443, everything).empty());
  }
  CHECK(guard.objection(ip("10.1.2.5"), 8181, everything).empty());
  // Bounded: what was found longest ago is forgotten.
  for (unsigned i = 0; i < 256; ++i) {
    opa.found({IpAddress::v4({10, 9, 9, static_cast<std::uint8_t>(i)})}, 8181);
  }
  CHECK(guard.objection(ip("10.1.2.3"), 8181, everything).empty());
  CHECK_FALSE(guard.objection(ip("10.9.9.0"), 8181, everything).empty());
}

}  // namespace
}  // namespace warder::proxy
