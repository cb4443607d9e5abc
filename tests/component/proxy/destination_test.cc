#include "proxy/destination.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string_view>

namespace warder::proxy {
namespace {

using Addresses = std::vector<net::IpAddress>;

Addresses ips(std::initializer_list<std::string_view> texts) {
  Addresses parsed;
  for (const auto text : texts) parsed.push_back(net::IpAddress::parse(text).value());
  return parsed;
}

// The answer of a policy with these `allowed_ips`.
opa::Decision allowing(std::vector<std::string> ranges) {
  opa::Decision decision;
  decision.allowed_ips = std::move(ranges);
  return decision;
}

class DestinationTest {
 protected:
  // The code of the refusal; empty where every address may be dialled.
  [[nodiscard]] std::string refusal(const Addresses& addresses,
                                    const std::vector<std::string>& ranges) const {
    const auto objection = objection_to(addresses, 443, guard, allowed_ranges(allowing(ranges)));
    if (!objection) return {};
    CHECK(objection->status == 403);
    CHECK(objection->verdict == Verdict::deny);
    return objection->code;
  }

  AddressGuard guard{{true, {net::IpRange::parse("203.0.113.0/24").value()}, {}}};
};

TEST_CASE_METHOD(DestinationTest, "One bad address refuses a name, wherever it stands") {
  for (const auto* bad : {"10.1.2.3", "127.0.0.1", "169.254.169.254", "fd12::1", "::1", "fe80::1",
                          "::ffff:10.1.2.3", "64:ff9b::169.254.169.254", "2002:7f00:1::1"}) {
    Addresses mixed = ips({"8.8.8.8", "8.8.4.4", "2606:4700::1111"});
    CHECK(refusal(mixed, {}).empty());
    for (std::size_t place = 0; place <= 3; ++place) {
      CAPTURE(bad, place);
      Addresses with = mixed;
      with.insert(with.begin() + static_cast<std::ptrdiff_t>(place), ips({bad}).front());
      CHECK(refusal(with, {}) == "address_blocked");
    }
  }
}

TEST_CASE_METHOD(DestinationTest, "A mix passes only if each address is public or allowed") {
  const Addresses mixed = ips({"8.8.8.8", "10.1.2.3", "fd12::1"});
  CHECK(refusal(mixed, {"10.0.0.0/8"}) == "address_blocked");
  CHECK(refusal(mixed, {"fd12::/16"}) == "address_blocked");
  CHECK(refusal(mixed, {"10.0.0.0/8", "fd12::/16"}).empty());
  CHECK(refusal(mixed, {"10.1.2.3", "fd12::1"}).empty());
  CHECK(refusal(ips({"127.0.0.1", "8.8.8.8"}), {"127.0.0.1/32"}).empty());
  CHECK(refusal(ips({"127.0.0.1", "8.8.8.8"}), {"10.0.0.0/8"}) == "address_blocked");
}

TEST_CASE_METHOD(DestinationTest, "No allowed_ips opens what is always blocked") {
  for (const auto* never : {"169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1",
                            "255.255.255.255", "240.0.0.1", "fd00:ec2::254", "203.0.113.5"}) {
    CAPTURE(never);
    CHECK(refusal(ips({never}), {"0.0.0.0/0", "::/0"}) == "address_blocked");
    CHECK(refusal(ips({never}), {never}) == "address_blocked");
    CHECK(refusal(ips({"8.8.8.8", never}), {"0.0.0.0/0", "::/0"}) == "address_blocked");
  }
}

TEST_CASE_METHOD(DestinationTest, "A range that does not parse opens nothing") {
  CHECK(refusal(ips({"10.1.2.3"}), {"10.0.0.0/33", "everything", ""}) == "address_blocked");
}

}  // namespace
}  // namespace warder::proxy
