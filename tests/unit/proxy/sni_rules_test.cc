#include "proxy/sni_rules.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/support/client_hello.h"

namespace {

namespace proxy = warder::proxy;
namespace tls = warder::tls;
using warder::testing::hello_message;
using warder::testing::plain_hello;
using warder::testing::server_name_extension;
using warder::testing::tls_extension;
using warder::testing::tls_records;

// The reason for closing, and the description in the alert; "" and 0 where there is none.
struct Verdict {
  std::string reason;
  int alert = 0;
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

Verdict judged(const std::string& bytes, std::string_view approved) {
  const auto parser = tls::ClientHelloParser::create();
  REQUIRE(parser);
  tls::ClientHelloReader reader(*parser);
  REQUIRE(reader.feed(bytes));
  const auto host = warder::http::parse_host(approved);
  REQUIRE(host);
  const auto failure = proxy::judge_hello(reader.outcome(), *host);
  if (!failure) return {};
  CHECK(failure->closed_by == proxy::ClosedBy::proxy);
  CHECK_FALSE(failure->message.empty());
  CHECK(failure->server_name == reader.outcome().server_name);
  return {failure->close_reason, failure->alert.empty() ? 0 : failure->alert.back()};
}

const Verdict kPass;
const Verdict kMismatch{"sni_mismatch", 112};

TEST_CASE("sni: the approved host passes, in any spelling of it", "[sni]") {
  CHECK(judged(plain_hello("api.example.com"), "api.example.com") == kPass);
  CHECK(judged(plain_hello("API.example.COM"), "api.example.com") == kPass);
  CHECK(judged(plain_hello("api.example.com."), "Api.Example.Com") == kPass);
}

TEST_CASE("sni: any other name does not", "[sni]") {
  for (const std::string& name :
       {std::string("example.com"), std::string("x.api.example.com"), std::string("api.example.co"),
        std::string("api.example.com.evil.example"), std::string("api.example.com\0", 16),
        std::string("*.example.com"), std::string("api.example.com.."), std::string("192.0.2.1"),
        std::string("\xC3\xA4pi.example.com")}) {
    CHECK(judged(plain_hello(name), "api.example.com") == kMismatch);
  }
}

TEST_CASE("sni: an address has no name, or itself", "[sni]") {
  const std::string nameless = tls_records(hello_message(""));
  CHECK(judged(nameless, "192.0.2.1") == kPass);
  CHECK(judged(nameless, "[2001:db8::1]") == kPass);
  CHECK(judged(plain_hello("192.0.2.1"), "192.0.2.1") == kPass);
  CHECK(judged(plain_hello("2001:DB8:0::1"), "[2001:db8::1]") == kPass);
  CHECK(judged(plain_hello("192.0.2.2"), "192.0.2.1") == kMismatch);
  CHECK(judged(plain_hello("api.example.com"), "192.0.2.1") == kMismatch);
}

TEST_CASE("sni: what can't be judged is told as what it is", "[sni]") {
  CHECK(judged(tls_records(hello_message("")), "a.example") == Verdict{"sni_missing", 109});
  CHECK(judged("SSH-2.0-x\r\n", "a.example") == Verdict{"not_tls", 0});
  CHECK(judged("\x16SSH-2", "a.example") == Verdict{"client_hello_malformed", 50});
  const std::string padding = tls_extension(21, std::string(20000, '\0'));
  CHECK(judged(tls_records(hello_message(padding)), "a.example") ==
        Verdict{"client_hello_too_large", 49});
  // Whatever stands outside.
  const std::string sealed = tls_extension(0xfe0d, "sealed");
  for (const std::string& extensions : {sealed, server_name_extension("a.example") + sealed,
                                        server_name_extension("outer.example") + sealed}) {
    CHECK(judged(tls_records(hello_message(extensions)), "a.example") == Verdict{"ech", 49});
    CHECK(judged(tls_records(hello_message(extensions)), "192.0.2.1") == Verdict{"ech", 49});
  }
}

}  // namespace
