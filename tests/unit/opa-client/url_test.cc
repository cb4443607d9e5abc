#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "opa-client/client.h"

namespace warder::opa {
namespace {

TEST_CASE("opa url: TCP", "[opa]") {
  struct Row {
    std::string url, endpoint, host;
  };
  const std::vector<Row> rows{
      {"http://127.0.0.1:8181", "127.0.0.1:8181", "127.0.0.1:8181"},
      {"http://127.0.0.1:8181/", "127.0.0.1:8181", "127.0.0.1:8181"},
      {"http://localhost:8181", "127.0.0.1:8181", "localhost:8181"},
      {"http://10.200.0.2:1", "10.200.0.2:1", "10.200.0.2:1"},
      {"http://[::1]:65535", "[::1]:65535", "[::1]:65535"},
  };
  for (const Row& row : rows) {
    INFO(row.url);
    const auto address = parse_url(row.url);
    REQUIRE(address);
    CHECK(address->kind == Address::Kind::tcp);
    CHECK(address->endpoint.text() == row.endpoint);
    CHECK(address->host_header == row.host);
  }
}

TEST_CASE("opa url: https, and names", "[opa]") {
  struct Row {
    std::string url, name, peer;
    bool tls;
  };
  const std::vector<Row> rows{
      {"https://10.0.0.1:8181", "", "10.0.0.1", true},
      {"https://[fd00::1]:8181", "", "fd00::1", true},
      {"https://localhost:8181/", "", "localhost", true},
      {"https://opa:8181", "opa", "opa", true},
      {"http://my_opa-1.example.com:8181", "my_opa-1.example.com", "my_opa-1.example.com", false},
      {"http://" + std::string(253, 'a') + ":1", std::string(253, 'a'), std::string(253, 'a'),
       false},
  };
  for (const Row& row : rows) {
    INFO(row.url);
    const auto address = parse_url(row.url);
    REQUIRE(address);
    CHECK(address->name == row.name);
    CHECK(address->tls == row.tls);
    CHECK(address->tls_peer == row.peer);
  }
}

TEST_CASE("opa url: unix socket", "[opa]") {
  const auto address = parse_url("unix:///run/opa/opa.sock");
  REQUIRE(address);
  CHECK(address->kind == Address::Kind::unix_socket);
  CHECK(address->socket_path == "/run/opa/opa.sock");
  CHECK(address->host_header == "localhost");
  CHECK(parse_url("unix:///" + std::string(106, 's')));
  CHECK_FALSE(parse_url("unix:///" + std::string(107, 's')));
}

TEST_CASE("opa url: what is refused says why", "[opa]") {
  struct Row {
    std::string url, part;
  };
  const std::vector<Row> rows{
      {"", "must begin"},
      {"127.0.0.1:8181", "must begin"},
      {"HTTP://127.0.0.1:8181", "must begin"},
      {"ftp://127.0.0.1:8181", "must begin"},
      {"http://", "port"},
      {"http://127.0.0.1", "port"},
      {"http://[::1]", "port"},
      {"http://127.0.0.1:", "port"},
      {"http://127.0.0.1:0", "port"},
      {"http://127.0.0.1:65536", "port"},
      {"http://127.0.0.1:+80", "port"},
      {"http://127.0.0.1:80x", "port"},
      {"http://127.0.0.1:8181/v1/data/x", "opa.path"},
      {"http://127.0.0.1:8181?x", "opa.path"},
      {"http://127.0.0.1:8181#x", "opa.path"},
      {"http://u:p@127.0.0.1:8181", "user names"},
      {"https://", "port"},
      {"https://opa", "port"},
      {"https://u@opa:8181", "user names"},
      {"http://opa.:8181", "host"},
      {"http://.opa:8181", "host"},
      {"http://a..b:8181", "host"},
      {"http://-opa:8181", "host"},
      {"http://[opa]:8181", "host"},
      {"http://o pa:8181", "host"},
      {"http://" + std::string(254, 'a') + ":8181", "host"},
      {"http://127.1:8181", "host"},
      {"http://0x7f.0.0.1:8181", "host"},
      {"http://::1:8181", "host"},
      {"http://[127.0.0.1]:8181", "host"},
      {"http://[]:8181", "host"},
      {"http://:8181", "host"},
      {"http://127.0.0.1\r\nX: y:8181", "host"},
      {"unix://", "absolute"},
      {"unix://run/opa.sock", "absolute"},
      {std::string("unix:///a\0b", 11), "NUL"},
  };
  for (const Row& row : rows) {
    INFO(row.url);
    const auto address = parse_url(row.url);
    REQUIRE_FALSE(address);
    CHECK(address.error().code == Errc::bad_config);
    CHECK(address.error().detail.find(row.part) != std::string::npos);
  }
}

}  // namespace
}  // namespace warder::opa
