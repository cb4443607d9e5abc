#include "proxy/refusal.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>

namespace {

using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;
using warder::Errc;
using warder::proxy::Refusal;
using warder::proxy::render;

Refusal denied() {
  Refusal refusal;
  refusal.status = 403;
  refusal.code = "denied";
  refusal.reason = "no endpoint";
  refusal.subject.request_id = "0123";
  refusal.subject.decision_id = "d-1";
  refusal.subject.binary = "/usr/bin/wget";
  refusal.subject.host = "a.example";
  refusal.subject.port = 443;
  return refusal;
}

TEST_CASE("a refusal says who, where, why and under which ids") {
  const std::string text = render(denied());
  CHECK_THAT(text, StartsWith("HTTP/1.1 403 Forbidden (denied)\r\n"));
  CHECK_THAT(text, ContainsSubstring("\r\nWarder-Request-Id: 0123\r\n"));
  CHECK_THAT(text, ContainsSubstring("\r\nWarder-Decision-Id: d-1\r\n"));
  CHECK_THAT(text, ContainsSubstring("\r\nProxy-Status: warder; error=http_request_denied; "
                                     "details=\"denied: no endpoint\"\r\n"));
  CHECK_THAT(text, ContainsSubstring("\"binary\":\"/usr/bin/wget\",\"host\":\"a.example\","
                                     "\"port\":443,\"reason\":\"no endpoint\""));
  const std::size_t body = text.find("\r\n\r\n") + 4;
  CHECK_THAT(text,
             ContainsSubstring("Content-Length: " + std::to_string(text.size() - body) + "\r\n"));
}

TEST_CASE("bytes of a peer can't leave their place in a refusal") {
  Refusal refusal = denied();
  refusal.reason = "evil\r\nSet-Cookie: a\x01\xff\"\\ end";
  refusal.subject.binary = "/tmp/\r\n\xc3\x28";
  refusal.subject.decision_id = "x\r\nInjected: 1";
  const std::string text = render(refusal);
  CHECK(text.find("\r\nSet-Cookie") == std::string::npos);
  CHECK(text.find("\r\nInjected") == std::string::npos);
  CHECK_THAT(text, ContainsSubstring("details=\"denied: evil\\\\x0d\\\\x0aSet-Cookie: "
                                     "a\\\\x01\\\\xff\\\"\\\\ end\""));
  for (const char c : text) CHECK((c == '\r' || c == '\n' || (c >= 0x20 && c < 0x7f)));
}

TEST_CASE("a refusal's head stays small whatever the reason's length") {
  Refusal refusal = denied();
  refusal.reason = std::string(100000, 'r');
  CHECK(render(refusal).size() < 12000);
}

TEST_CASE("only what the request did wrong is a 4xx") {
  CHECK(warder::proxy::status_for(Errc::bad_request) == 400);
  CHECK(warder::proxy::status_for(Errc::head_too_large) == 431);
  CHECK(warder::proxy::status_for(Errc::opa_timeout) == 503);
  CHECK(warder::proxy::status_for(Errc::name_not_found) == 502);
  CHECK(warder::proxy::status_for(Errc::timed_out) == 504);
}

TEST_CASE("a retry hint is given where there is one") {
  Refusal refusal = denied();
  CHECK(render(refusal).find("Retry-After") == std::string::npos);
  refusal.retry_after_s = 5;
  CHECK_THAT(render(refusal), ContainsSubstring("\r\nRetry-After: 5\r\n"));
}

}  // namespace
