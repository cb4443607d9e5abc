#include "net/resolv_conf.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

namespace warder::net {
namespace {

std::vector<std::string> servers_in(std::string_view text) {
  std::vector<std::string> found;
  for (const IpAddress& address : parse_resolv_conf(text).servers) found.push_back(address.text());
  return found;
}

using Texts = std::vector<std::string>;

TEST_CASE("resolv.conf: its servers in their order") {
  CHECK(servers_in("# by hand\nsearch a.test b.test\nnameserver 192.0.2.1\n\n"
                   "nameserver\t2001:db8::1 \r\noptions edns0\nnameserver 192.0.2.2") ==
        Texts{"192.0.2.1", "2001:db8::1", "192.0.2.2"});
  CHECK(servers_in("nameserver 192.0.2.1 # the first\nnameserver 192.0.2.2;the second\n") ==
        Texts{"192.0.2.1", "192.0.2.2"});
}

TEST_CASE("resolv.conf: three servers at most, each once") {
  CHECK(servers_in("nameserver 192.0.2.1\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n"
                   "nameserver 192.0.2.3\nnameserver 192.0.2.4\n") ==
        Texts{"192.0.2.1", "192.0.2.2", "192.0.2.3"});
}

TEST_CASE("resolv.conf: what can't be understood is no server") {
  for (const std::string_view text :
       {"", "\n\n", "nameserver", "nameserver \n", "nameserver dns.test\n", "nameserver 192.0.2\n",
        "nameserver fe80::1%eth0\n", "nameserver 192.0.2.1:53\n", "nameserver192.0.2.1\n",
        "#nameserver 192.0.2.1\n", "; nameserver 192.0.2.1\n", "NAMESERVER 192.0.2.1\n",
        "nameservers 192.0.2.1\n", "nameserver # 192.0.2.1\n", "192.0.2.1\n",
        "options nameserver 192.0.2.1\n"}) {
    CAPTURE(text);
    CHECK(servers_in(text).empty());
  }
  CHECK(servers_in(std::string("nameserver 192.0.2.1\0\nnameserver 192.0.2.2\n", 43)) ==
        Texts{"192.0.2.2"});
}

TEST_CASE("resolv.conf: rotate") {
  CHECK_FALSE(parse_resolv_conf("options ndots:2 # rotate\nrotate\noptions\n").rotate);
  CHECK(parse_resolv_conf("options ndots:2\trotate edns0\n").rotate);
}

}  // namespace
}  // namespace warder::net
