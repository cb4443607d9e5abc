#include "opa-client/decision.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace warder::opa {
namespace {

using std::string_view_literals::operator""sv;

enum class Outcome { allow, deny, undefined, not_json, bad_answer };

struct DecisionRow {
  std::string_view body;
  Outcome outcome;
};

Outcome outcome_of(std::string_view body) {
  const auto decision = parse_answer(body);
  if (!decision) {
    CHECK_FALSE(decision.error().detail.empty());
    return decision.error().code == Errc::opa_not_json ? Outcome::not_json : Outcome::bad_answer;
  }
  if (decision->undefined) {
    CHECK_FALSE(decision->allow);
    return Outcome::undefined;
  }
  return decision->allow ? Outcome::allow : Outcome::deny;
}

void check_rows(const std::vector<DecisionRow>& rows) {
  for (const DecisionRow& row : rows) {
    INFO(row.body);
    CHECK(outcome_of(row.body) == row.outcome);
  }
}

TEST_CASE("answer: only the JSON true opens", "[opa]") {
  check_rows({
      {R"({"result":true})", Outcome::allow},
      {R"({"result":false})", Outcome::deny},
      {R"({"result":{"allow":true}})", Outcome::allow},
      {R"({"result":{"allow":false}})", Outcome::deny},
      {" { \"result\" :\n{\"allow\"\t: true } }\r\n", Outcome::allow},
      {R"({"result":{"\u0061llow":true}})", Outcome::allow},
      {R"({"decision_id":"d-1","result":{"allow":true}})", Outcome::allow},
      {R"({"result":{"allow":false,"reason":"no","policy":"p","enforcement":"enforce"}})",
       Outcome::deny},
      {R"({"result":{"allow":true,"unknown":{"deep":[1,2,{"x":null}]}}})", Outcome::allow},
      {R"({"result":{"allow":true},"warning":{"code":"api_usage_warning"}})", Outcome::allow},
      {R"({"result":true,"metrics":{"timer_server_handler_ns":1},"provenance":{}})",
       Outcome::allow},
      {R"({})", Outcome::undefined},
      {R"({"decision_id":"d-1"})", Outcome::undefined},
      {R"({"allow":true})", Outcome::undefined},
      {R"({"Result":true})", Outcome::undefined},
      {R"({"result ":true})", Outcome::undefined},
      {R"({"warning":{"message":"'input' key missing from the request"}})", Outcome::undefined},
  });
}

TEST_CASE("answer: what looks like true is no decision", "[opa]") {
  check_rows({
      {R"({"result":"true"})", Outcome::bad_answer},
      {R"({"result":1})", Outcome::bad_answer},
      {R"({"result":null})", Outcome::bad_answer},
      {R"({"result":[]})", Outcome::bad_answer},
      {R"({"result":[true]})", Outcome::bad_answer},
      {R"({"result":[{"allow":true}]})", Outcome::bad_answer},
      {R"({"result":{}})", Outcome::bad_answer},
      {R"({"result":{"allow":"true"}})", Outcome::bad_answer},
      {R"({"result":{"allow":1}})", Outcome::bad_answer},
      {R"({"result":{"allow":null}})", Outcome::bad_answer},
      {R"({"result":{"allow":[true]}})", Outcome::bad_answer},
      {R"({"result":{"allow":{"allow":true}}})", Outcome::bad_answer},
      {R"({"result":{"Allow":true}})", Outcome::bad_answer},
      {R"({"result":{"allow ":true}})", Outcome::bad_answer},
      {R"({"result":{"result":true}})", Outcome::bad_answer},
      {R"({"result":{"reason":"no allow"}})", Outcome::bad_answer},
      {"true", Outcome::bad_answer},
      {"[]", Outcome::bad_answer},
      {"null", Outcome::bad_answer},
      {"\"true\"", Outcome::bad_answer},
      {R"([{"result":true}])", Outcome::bad_answer},
  });
}

TEST_CASE("answer: known keys have their types", "[opa]") {
  check_rows({
      {R"({"result":{"allow":true,"reason":1}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"reason":["a"]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"reason":null}})", Outcome::allow},
      {R"({"result":{"allow":true,"policy":{}}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"policy":null,"enforcement":null,"revision":null}})",
       Outcome::allow},
      {R"({"result":{"allow":true,"enforcement":true}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"revision":7}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"would_deny":"yes"}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"would_deny":null}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"would_deny":true}})", Outcome::allow},
      {R"({"result":{"allow":true,"sni":"match"}})", Outcome::allow},
      {R"({"result":{"allow":true,"sni":null}})", Outcome::allow},
      {R"({"result":{"allow":true,"sni":"Match"}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"sni":"any"}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"sni":""}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"sni":true}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"sni":["match"]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"sni":"match\u0000"}})", Outcome::bad_answer},
      {R"({"result":{"allow":false,"sni":"any"}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"read_only":true}})", Outcome::allow},
      {R"({"result":{"allow":true,"read_only":null}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"read_only":1}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"read_only":"true"}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"max_age":"5"}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"max_age":-1}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"max_age":-0.001}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"max_age":null}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"max_age":1e400}})", Outcome::not_json},
      {R"({"result":{"allow":true,"max_age":18446744073709551615}})", Outcome::allow},
      {R"({"decision_id":7,"result":true})", Outcome::bad_answer},
      {R"({"decision_id":null,"result":true})", Outcome::bad_answer},
      {R"({"decision_id":"","result":true})", Outcome::bad_answer},
      {R"({"decision_id":"a b","result":true})", Outcome::bad_answer},
      {R"({"decision_id":"a\r\nSet-Cookie: x","result":true})", Outcome::bad_answer},
      {R"({"decision_id":"a\u0000","result":true})", Outcome::bad_answer},
      {R"({"decision_id":"\u00e9","result":true})", Outcome::bad_answer},
      {R"({"decision_id":7})", Outcome::bad_answer},
      // A wrong key speaks against a denial too: the answer is not of the agreed form.
      {R"({"result":{"allow":false,"reason":1}})", Outcome::bad_answer},
  });
}

TEST_CASE("answer: allowed_ips are addresses and ranges", "[opa]") {
  check_rows({
      {R"({"result":{"allow":true,"allowed_ips":[]}})", Outcome::allow},
      {R"({"result":{"allow":true,"allowed_ips":["10.0.0.0/8","10.1.2.3","fe80::/10","::1"]}})",
       Outcome::allow},
      {R"({"result":{"allow":true,"allowed_ips":null}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":"10.0.0.0/8"}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":{"10.0.0.0/8":true}}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":[10]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":["10.0.0.0/8",null]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":[""]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":["10.0.0.0/33"]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":["10.0.0.0/"]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":["10.0.0/8"]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":["::/129"]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":["localhost"]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":["10.0.0.0/8\u0000"]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":["*"]}})", Outcome::bad_answer},
      {R"({"result":{"allow":true,"allowed_ips":[" 10.0.0.1"]}})", Outcome::bad_answer},
  });
}

TEST_CASE("answer: bytes that are not strict JSON are no decision", "[opa]") {
  check_rows({
      {"", Outcome::not_json},
      {R"({"result":true)", Outcome::not_json},
      {R"({"result":true}})", Outcome::not_json},
      {R"({"result":true}{"result":false})", Outcome::not_json},
      {"{\"result\":true}\0"sv, Outcome::not_json},
      {"\xEF\xBB\xBF{\"result\":true}", Outcome::not_json},
      {R"({"result":false,"result":true})", Outcome::not_json},
      {R"({"result":true,"result":true})", Outcome::not_json},
      {R"({"result":{"allow":false,"allow":true}})", Outcome::not_json},
      {R"({"result":{"allow":false,"\u0061llow":true}})", Outcome::not_json},
      {R"({"result":{"allow":true,"x":{"y":1,"y":2}}})", Outcome::not_json},
      {R"({"result":true,"z":[{"y":1,"y":2}]})", Outcome::not_json},
      {"{\"result\":{\"allow\":true,\"reason\":\"\xFF\"}}", Outcome::not_json},
      {R"({"result":{"allow":true,"reason":"\udc00"}})", Outcome::not_json},
      {R"({"result":True})", Outcome::not_json},
      {"<html>502</html>", Outcome::not_json},
      {"result: true\n", Outcome::not_json},
  });
}

TEST_CASE("answer: lengths are bounded", "[opa]") {
  const auto with_reason = [](std::size_t length) {
    return R"({"result":{"allow":true,"reason":")" + std::string(length, 'r') + "\"}}";
  };
  CHECK(outcome_of(with_reason(4096)) == Outcome::allow);
  CHECK(outcome_of(with_reason(4097)) == Outcome::bad_answer);

  const auto with_ranges = [](std::size_t count) {
    std::string list;
    for (std::size_t i = 0; i < count; ++i) list += i == 0 ? "\"::1\"" : ",\"::1\"";
    return R"({"result":{"allow":true,"allowed_ips":[)" + list + "]}}";
  };
  CHECK(outcome_of(with_ranges(1024)) == Outcome::allow);
  CHECK(outcome_of(with_ranges(1025)) == Outcome::bad_answer);

  const auto with_id = [](std::size_t length) {
    return R"({"result":true,"decision_id":")" + std::string(length, 'd') + "\"}";
  };
  CHECK(outcome_of(with_id(128)) == Outcome::allow);
  CHECK(outcome_of(with_id(129)) == Outcome::bad_answer);

  const auto huge = parse_answer(R"({"result":true})" + std::string(1 << 20, ' '));
  REQUIRE_FALSE(huge);
  CHECK(huge.error().code == Errc::opa_too_large);
}

TEST_CASE("answer: every field arrives", "[opa]") {
  const auto decision = parse_answer(
      R"({"decision_id":"0d1e-7","result":{"allow":true,"reason":"r\u00e9","policy":"p",
          "enforcement":"audit","revision":"v3","would_deny":true,"max_age":2.5,
          "allowed_ips":["10.0.0.0/8","::1"],"sni":"match","read_only":true}})");
  REQUIRE(decision);
  CHECK(decision->allow);
  CHECK(decision->would_deny);
  CHECK_FALSE(decision->undefined);
  CHECK(decision->reason == "r\xC3\xA9");
  CHECK(decision->policy == "p");
  CHECK(decision->enforcement == "audit");
  CHECK(decision->revision == "v3");
  CHECK(decision->max_age == 2.5);
  CHECK(decision->allowed_ips == std::vector<std::string>{"10.0.0.0/8", "::1"});
  CHECK(decision->sni == "match");
  CHECK(decision->read_only);
  CHECK(decision->decision_id == "0d1e-7");

  const auto plain = parse_answer(R"({"result":false})");
  REQUIRE(plain);
  CHECK_FALSE(plain->reason);
  CHECK_FALSE(plain->decision_id);
  CHECK_FALSE(plain->sni);
  CHECK_FALSE(plain->read_only);
  CHECK(plain->allowed_ips.empty());
  CHECK(plain->max_age == 0);
}

TEST_CASE("answer: an empty revision is none", "[opa]") {
  const auto decision = parse_answer(R"({"result":{"allow":true,"policy":"","revision":""}})");
  REQUIRE(decision);
  CHECK_FALSE(decision->revision);
  CHECK(decision->policy == "");
}

TEST_CASE("answer: the error names what is wrong", "[opa]") {
  CHECK(parse_answer(R"({"result":{"allow":"true"}})").error().detail ==
        "\"allow\" is not a boolean");
  CHECK(parse_answer(R"({"result":{"allow":true,"allowed_ips":["x"]}})").error().detail ==
        "\"allowed_ips\" has \"x\", not an address or a range");
  CHECK(parse_answer(R"({"result":tru})").error().detail.starts_with("byte 1"));
}

TEST_CASE("refusal: OPA's error document in one line", "[opa]") {
  const auto detail = [](int status, const std::string& body) {
    const Error error = refusal(status, body);
    CHECK(error.code == Errc::opa_status);
    return error.detail;
  };
  CHECK(detail(500, R"({"code":"internal_error","message":"conflict"})") ==
        "500 internal_error: conflict");
  CHECK(detail(404, "404 page not found\n") == "404");
  CHECK(detail(405, "") == "405");
  CHECK(detail(400, R"({"code":7,"message":null})") == "400");
  CHECK(detail(400, "Client sent an HTTP request to an HTTPS server.\n") == "400");
  CHECK(detail(401, R"({"code":"invalid_parameter"})") == "401 invalid_parameter");
  CHECK(detail(500, R"({"message":")" + std::string(9000, 'm') + "\"}").size() == 512);
  for (const char* errors :
       {"{}", "[]", "[1]", R"([{"code":7}])", R"([{"code":"rego_parse_error"}])"}) {
    CAPTURE(errors);
    CHECK(detail(500, std::string(R"({"errors":)") + errors + "}").starts_with("500"));
  }
}

TEST_CASE("refusal: a question that OPA does not take is told apart", "[opa]") {
  const Error error =
      refusal(400, R"({"code":"invalid_parameter","message":"request body too large"})");
  CHECK(error.code == Errc::opa_refused);
  CHECK(error.detail == "400 invalid_parameter: request body too large");
  CHECK(refusal(413, "").code == Errc::opa_refused);
}

TEST_CASE("refusal: an error of the policy is told apart, and which", "[opa]") {
  const Error error = refusal(500, R"({"code":"internal_error","message":"evaluating","errors":[
      {"code":"other"},{"code":"eval_conflict_error","message":"two values"},{"code":"eval_x"}]})");
  CHECK(error.code == Errc::opa_policy_error);
  CHECK(error.detail == "500 internal_error: evaluating: eval_conflict_error: two values");
}

}  // namespace
}  // namespace warder::opa
