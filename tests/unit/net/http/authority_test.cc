#include "net/http/authority.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>

namespace warder::http {
namespace {

using std::string_view_literals::operator""sv;

std::string host_of(std::string_view text) {
  const Result<Host> host = parse_host(text);
  if (host) return host->name + (host->address ? " address" : "");
  CHECK(host.error().code == Errc::bad_authority);
  return "refused: " + host.error().detail;
}

bool refused(std::string_view text) { return host_of(text).starts_with("refused: "); }

std::string authority_of(std::string_view text) {
  const Result<Authority> authority = parse_authority(text);
  if (authority) return authority->text();
  CHECK(authority.error().code == Errc::bad_authority);
  return "refused";
}

TEST_CASE("hosts in canonical form", "[http]") {
  CHECK(host_of("Example.COM") == "example.com");
  CHECK(host_of("example.com.") == "example.com");
  CHECK(host_of("localhost") == "localhost");
  CHECK(host_of("_dmarc.a_b.example") == "_dmarc.a_b.example");
  CHECK(host_of("a--b.xn--p1ai") == "a--b.xn--p1ai");
  CHECK(host_of("1.2.3.4.example") == "1.2.3.4.example");
  CHECK(host_of("0x7g") == "0x7g");
  CHECK(host_of("1password") == "1password");
  CHECK(host_of("192.0.2.1") == "192.0.2.1 address");
  CHECK(host_of("[2001:DB8::0:1]") == "2001:db8::1 address");
  CHECK(host_of("[::]") == ":: address");
  CHECK(host_of("[::ffff:192.0.2.1]") == "192.0.2.1 address");
  CHECK(host_of("[::FFFF:c000:201]") == "192.0.2.1 address");
  const std::string label(63, 'a');
  const std::string longest = label + "." + label + "." + label + "." + std::string(61, 'a');
  REQUIRE(longest.size() == 253);
  CHECK(host_of(longest) == longest);
  CHECK(host_of(longest + ".") == longest);
  CHECK(refused(longest + "a"));
  CHECK(refused(label + "a"));
}

TEST_CASE("hosts no policy can name", "[http]") {
  for (const std::string_view text :
       {""sv,          "."sv,      ".."sv,         "a..b"sv,       ".a"sv,        "a.."sv,
        "-a"sv,        "a-"sv,     "a.-b"sv,       "a-.b"sv,       "a b"sv,       " a"sv,
        "a\t"sv,       "a\0b"sv,   "a\0"sv,        "m\xc3\xbc"sv,  "a%2eb"sv,     "u@a"sv,
        "a:1"sv,       "a/b"sv,    "a\\b"sv,       "*.a"sv,        "a,b"sv,       "127.1"sv,
        "0x7f.1"sv,    "0X7F.1"sv, "2130706433"sv, "0177.0.0.1"sv, "1.2.3.4.5"sv, "1.2.3.256"sv,
        "1.2.3.4."sv,  "a.1"sv,    "a.0x"sv,       "a.0x1F"sv,     "1.2.3.04"sv,  "::1"sv,
        "["sv,         "[]"sv,     "[::1"sv,       "::1]"sv,       "[::1]."sv,    "[fe80::1%1]"sv,
        "[1.2.3.4]"sv, "[v1.x]"sv, "[::1\0]"sv}) {
    INFO(text);
    CHECK(refused(text));
  }
}

TEST_CASE("authorities", "[http]") {
  CHECK(authority_of("A.example:443") == "a.example:443");
  CHECK(authority_of("a.example.:00443") == "a.example:443");
  CHECK(authority_of("a.example") == "a.example");
  CHECK(authority_of("[::1]:80") == "[::1]:80");
  CHECK(authority_of("[::1]") == "[::1]");
  CHECK(authority_of("1.2.3.4:65535") == "1.2.3.4:65535");
  CHECK(parse_authority("a:1").value().port.value() == 1);
  CHECK_FALSE(parse_authority("a").value().port.has_value());
  for (const std::string_view text :
       {""sv,        ":"sv,          ":1"sv,       "a:"sv,    "a:0"sv,     "a:00000"sv,
        "a:65536"sv, "a:99999"sv,    "a:000001"sv, "a:1 "sv,  "a: 1"sv,    "a:-1"sv,
        "a:+1"sv,    "a:0x1"sv,      "a:1\0"sv,    "a:1:2"sv, "::1:80"sv,  "[::1]80"sv,
        "[::1]:"sv,  "[::1]:a"sv,    "[::1"sv,     "u@a:1"sv, "u:p@a:1"sv, "a:1/x"sv,
        "a:1?x"sv,   "http://a:1"sv, "127.1:80"sv}) {
    INFO(text);
    CHECK(authority_of(text) == "refused");
  }
}

TEST_CASE("hosts are compared by their canonical form", "[http]") {
  CHECK(parse_host("A.example.").value() == parse_host("a.example").value());
  CHECK_FALSE(parse_host("a.example").value() == parse_host("b.example").value());
}

}  // namespace
}  // namespace warder::http
