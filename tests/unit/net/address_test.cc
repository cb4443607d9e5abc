#include "net/address.h"

#include <catch2/catch_test_macros.hpp>
#include <string_view>

namespace warder::net {
namespace {

using namespace std::string_view_literals;

TEST_CASE("IpAddress takes what inet_pton takes and nothing else") {
  CHECK(IpAddress::parse("10.1.2.3") == IpAddress::v4({10, 1, 2, 3}));
  CHECK(IpAddress::parse("::1")->is_v6());
  CHECK(IpAddress::parse("0.0.0.0") == IpAddress());
  for (const auto bad : {""sv, "10.1.2"sv, "010.1.2.3"sv, "0x0a.1.2.3"sv, "10.1.2.3 "sv,
                         " 10.1.2.3"sv, "10.1.2.256"sv, "[::1]"sv, "fe80::1%lo"sv, "167772161"sv,
                         "10.1.2.3\0"sv, "::1\0.example"sv, "1:2:3:4:5:6:7:8:9"sv, "example.com"sv,
                         "00000000000000000000000000000000000000000000000001"sv}) {
    CAPTURE(bad);
    CHECK_FALSE(IpAddress::parse(bad).has_value());
  }
}

TEST_CASE("IpAddress is written as RFC 5952 says") {
  CHECK(IpAddress::parse("2001:DB8:0:0:1:0:0:1")->text() == "2001:db8::1:0:0:1");
  CHECK(IpAddress::parse("2001:db8:0:1:1:1:1:1")->text() == "2001:db8:0:1:1:1:1:1");
  CHECK(IpAddress::parse("::ffff:10.1.2.3")->text() == "::ffff:10.1.2.3");
  CHECK(IpAddress::v4({10, 1, 2, 3}).text() == "10.1.2.3");
}

TEST_CASE("IpAddress maps and unmaps") {
  const auto four = *IpAddress::parse("192.0.2.7");
  CHECK(four.mapped() == *IpAddress::parse("::ffff:192.0.2.7"));
  CHECK(four.mapped().unmapped() == four);
  CHECK(four.unmapped() == four);
  CHECK(four.mapped() != four);
  CHECK(IpAddress::parse("::192.0.2.7")->unmapped().is_v6());
  CHECK(std::hash<IpAddress>{}(four.mapped().unmapped()) == std::hash<IpAddress>{}(four));
}

TEST_CASE("IpRange contains by prefix") {
  const auto ten = *IpRange::parse("10.1.2.3/8");
  CHECK(ten.text() == "10.0.0.0/8");
  CHECK(ten.contains(*IpAddress::parse("10.255.255.255")));
  CHECK_FALSE(ten.contains(*IpAddress::parse("11.0.0.0")));
  CHECK_FALSE(ten.contains(IpAddress::parse("10.0.0.1")->mapped()));
  const auto odd = *IpRange::parse("172.16.0.0/12");
  CHECK(odd.contains(*IpAddress::parse("172.31.255.255")));
  CHECK_FALSE(odd.contains(*IpAddress::parse("172.32.0.0")));
  CHECK(IpRange::parse("0.0.0.0/0")->contains(*IpAddress::parse("255.1.1.1")));
  CHECK(IpRange::parse("::/0")->contains(*IpAddress::parse("ff::")));
  CHECK_FALSE(IpRange::parse("::/0")->contains(*IpAddress::parse("1.2.3.4")));
  CHECK(IpRange::parse("fe80::/10")->contains(*IpAddress::parse("febf::1")));
  CHECK_FALSE(IpRange::parse("fe80::/10")->contains(*IpAddress::parse("fec0::1")));
  CHECK(IpRange::parse("::1")->text() == "::1/128");
  for (const auto bad : {"10.0.0.0/33"sv, "10.0.0.0/"sv, "10.0.0.0/08"sv, "10.0.0.0/-1"sv, "/8"sv,
                         "10.0.0.0/8/8"sv, "::/129"sv, "10.0.0.0/ 8"sv}) {
    CAPTURE(bad);
    CHECK_FALSE(IpRange::parse(bad).has_value());
  }
}

TEST_CASE("Endpoint parses, prints and survives a sockaddr") {
  for (const auto good : {"10.0.0.1:80"sv, "[::1]:65535"sv, "0.0.0.0:0"sv}) {
    const auto endpoint = Endpoint::parse(good);
    REQUIRE(endpoint.has_value());
    CHECK(endpoint->text() == good);
    sockaddr_storage storage{};
    const socklen_t length = endpoint->to_sockaddr(storage);
    const auto* address = reinterpret_cast<const sockaddr*>(&storage);
    CHECK(Endpoint::from_sockaddr(address, length) == endpoint);
    CHECK_FALSE(Endpoint::from_sockaddr(address, length - 1).has_value());
  }
  for (const auto bad :
       {"10.0.0.1"sv, "::1:80"sv, "[10.0.0.1]:80"sv, "10.0.0.1:65536"sv, "10.0.0.1:"sv,
        "10.0.0.1:+1"sv, "[::1]"sv, "[::1]80"sv, "10.0.0.1:080"sv, ":80"sv}) {
    CAPTURE(bad);
    CHECK_FALSE(Endpoint::parse(bad).has_value());
  }
  sockaddr other{};
  other.sa_family = AF_UNIX;
  CHECK_FALSE(Endpoint::from_sockaddr(&other, sizeof other).has_value());
}

}  // namespace
}  // namespace warder::net
