#include "proxy/special_addresses.h"

#include <catch2/catch_test_macros.hpp>
#include <string_view>
#include <vector>

namespace warder::proxy {
namespace {

net::IpAddress parsed(std::string_view text) { return net::IpAddress::parse(text).value(); }

// The first and the last address of every range, and their neighbours outside.
TEST_CASE("Special addresses are told by their ranges' edges") {
  struct Case {
    AddressClass of_class;
    std::vector<std::string_view> addresses;
  };
  const std::vector<Case> cases{
      {AddressClass::blocked, {"0.0.0.0",         "0.255.255.255",
                               "169.254.0.0",     "169.254.255.255",
                               "169.254.169.254", "224.0.0.0",
                               "239.255.255.255", "240.0.0.0",
                               "255.255.255.254", "255.255.255.255",
                               "100.100.100.200", "192.0.0.192",
                               "168.63.129.16",   "::",
                               "fe80::",          "febf:ffff::1",
                               "ff00::",          "ff02::1",
                               "fd00:ec2::254",   "fd20:ce::254"}},
      {AddressClass::loopback, {"127.0.0.0", "127.0.0.1", "127.255.255.255", "::1"}},
      {AddressClass::special,
       {"10.0.0.0",        "10.255.255.255", "172.16.0.0",      "172.31.255.255", "192.168.0.0",
        "192.168.255.255", "100.64.0.0",     "100.127.255.255", "192.0.0.0",      "192.0.0.255",
        "192.0.2.1",       "198.18.0.0",     "198.19.255.255",  "198.51.100.1",   "203.0.113.255",
        "192.88.99.1",     "fc00::",         "fdff:ffff::1",    "fec0::1",        "64:ff9b:1::1",
        "100::1",          "2001:2::1",      "2001:10::1",      "2001:1ff::1",    "2001:db8::1",
        "3fff::1",         "3fff:fff::1",    "5f00::1",         "4000::1",        "1fff::1"}},
      {AddressClass::global,
       {"1.0.0.0",         "9.255.255.255",   "11.0.0.0",       "126.255.255.255",
        "128.0.0.0",       "169.253.255.255", "169.255.0.0",    "172.15.255.255",
        "172.32.0.0",      "192.167.255.255", "192.169.0.0",    "100.63.255.255",
        "100.128.0.0",     "192.0.1.0",       "198.17.255.255", "198.20.0.0",
        "223.255.255.255", "8.8.8.8",         "192.0.0.9",      "2000::1",
        "2001:200::1",     "2001:db7::1",     "2001:db9::1",    "2606:4700::1",
        "3ffe::1",         "2001:4:112::1"}},
  };
  for (const Case& expected : cases) {
    for (const auto address : expected.addresses) {
      CAPTURE(address);
      CHECK(classify(parsed(address)).of_class == expected.of_class);
      CHECK(classify(parsed(address)).name.empty() == (expected.of_class == AddressClass::global));
    }
  }
}

TEST_CASE("IPv6 addresses that lead to an IPv4 address give it away") {
  CHECK(embedded_ipv4(parsed("::ffff:10.1.2.3")) == parsed("10.1.2.3"));
  CHECK(embedded_ipv4(parsed("::ffff:0:10.1.2.3")) == parsed("10.1.2.3"));
  CHECK(embedded_ipv4(parsed("::10.1.2.3")) == parsed("10.1.2.3"));
  CHECK(embedded_ipv4(parsed("64:ff9b::10.1.2.3")) == parsed("10.1.2.3"));
  CHECK(embedded_ipv4(parsed("2002:a01:203::1")) == parsed("10.1.2.3"));
  // RFC 4380, section 4: the client's address, every bit inverted.
  CHECK(embedded_ipv4(parsed("2001:0:4136:e378:8000:63bf:f5fe:fdfc")) == parsed("10.1.2.3"));
  for (const auto* none :
       {"::", "::1", "2001:db8::10.1.2.3", "64:ff9b:1::10.1.2.3", "10.1.2.3", "fe80::10.1.2.3"}) {
    CAPTURE(none);
    CHECK_FALSE(embedded_ipv4(parsed(none)).has_value());
  }
}

}  // namespace
}  // namespace warder::proxy
