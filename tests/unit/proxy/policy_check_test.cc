#include "proxy/policy_check.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

namespace warder::proxy {
namespace {

using Severity = PolicyProblem::Severity;

std::string answer(const std::string& value) {
  return R"({"result": [{"expressions": [{"value": )" + value + "}]}]}";
}

PolicyReport report() {
  PolicyReport report;
  report.problems = {
      {Severity::error, "network_policies/web/port", "port is x", "p/data.yaml", 7},
      {Severity::warning, "", "what\x1b[2J", "", 0},
  };
  report.programs = {{"/bin/curl",
                      "network_policies/web/binaries/0",
                      2,
                      "/usr/bin/curl",
                      {"/bin -> usr/bin"},
                      {},
                      {"somebody may write to it"}}};
  return report;
}

}  // namespace

TEST_CASE("what OPA evaluated is read, errors first") {
  const auto read =
      parse_evaluation(answer(R"({"known": [1], "loaded": [1], "index": [{"revision": "r", "n": 1}],
    "problems": [{"path": "a", "problem": "may be", "severity": "warning"},
                 {"path": "b", "problem": "is", "severity": "error"}],
    "binaries": [{"pointer": "x", "path": "/usr/bin/git", "descendants": true,
                  "started_by": ["/bin/sh", 1]},
                 {"pointer": "y", "path": "/usr/bin/curl", "sha256": true}]})"));
  REQUIRE(read);
  REQUIRE(read->problems.size() == 2);
  CHECK(read->problems[0].path == "b");
  CHECK(read->problems[0].severity == Severity::error);
  CHECK(read->problems[1].severity == Severity::warning);
  REQUIRE(read->binaries.size() == 2);
  CHECK(read->binaries[0].descendants);
  CHECK(read->binaries[0].started_by == std::vector<std::string>{"/bin/sh"});
  CHECK_FALSE(read->binaries[0].sha256);
  CHECK(read->binaries[1].sha256);
  CHECK(read->index == R"({"revision":"r","n":1})");
  CHECK(read->revision == "r");
}

TEST_CASE("that there are no policies is an error") {
  const auto read = parse_evaluation(answer(R"({"known": [1], "loaded": [], "index": [],
    "problems": [{"path": "network_policies", "problem": "none", "severity": "warning"},
                 {"path": "network_policies/x", "problem": "other", "severity": "warning"}],
    "binaries": []})"));
  REQUIRE(read);
  REQUIRE(read->problems.size() == 2);
  CHECK(read->problems[0].severity == Severity::error);
  CHECK(read->problems[0].path == "network_policies");
  CHECK(read->problems[0].problem.find("no policies are loaded") == 0);
  CHECK(read->problems[1].problem == "other");
}

TEST_CASE("what OPA could not load is a problem with its place") {
  const auto read = parse_evaluation(
      R"({"errors": [{"message": "unexpected eof", "location": {"file": "x.rego", "row": 3}}]})");
  REQUIRE(read);
  REQUIRE(read->problems.size() == 1);
  CHECK(read->problems[0].problem == "unexpected eof");
  CHECK(read->problems[0].file == "x.rego");
  CHECK(read->problems[0].line == 3);
}

TEST_CASE("output of another form is no clean bill") {
  for (const char* text : {"", "{}", "[]", "opa: not found", R"({"result": []})",
                           R"({"result": [{"expressions": [{"value": 1}]}]})"})
    CHECK_FALSE(parse_evaluation(text));
  CHECK_FALSE(
      parse_evaluation(answer(R"({"known": [1], "loaded": [1], "problems": [], "binaries": []})")));
  const auto other = parse_evaluation(
      answer(R"({"known": [], "loaded": [1], "index": [], "problems": [], "binaries": []})"));
  REQUIRE_FALSE(other);
  CHECK(other.error().detail.find("no data.egress.problems") != std::string::npos);
}

TEST_CASE("a report for people") {
  CHECK(as_text(report()) ==
        "p/data.yaml:7: error: network_policies/web/port: port is x\n"
        "warning: what\\x1b[2J\n"
        "/bin/curl is /usr/bin/curl (/bin -> usr/bin)  [network_policies/web/binaries/0 and 1 "
        "more]\n"
        "  warning: somebody may write to it\n"
        "1 error, 2 warnings\n");
  CHECK(as_text(PolicyReport{}) == "0 errors, 0 warnings\n");
  PolicyReport noted;
  noted.note = "not looked at";
  CHECK(as_text(noted) == "note: not looked at\n0 errors, 0 warnings\n");
  CHECK(has_errors(report()));
  CHECK_FALSE(has_errors({}));
}

TEST_CASE("a report for programs") {
  CHECK(as_json(report()) ==
        R"({"result":"error","problems":[{"severity":"error","path":"network_policies/web/port",)"
        R"("problem":"port is x","file":"p/data.yaml","line":7},{"severity":"warning","path":"",)"
        R"("problem":"what\u001B[2J","file":null,"line":null}],"programs":[{"path":"/bin/curl",)"
        R"("first_entry":"network_policies/web/binaries/0","entries":2,)"
        R"("resolves_to":"/usr/bin/curl","links":["/bin -> usr/bin"],"matches":[],)"
        R"("warnings":["somebody may write to it"]}],"note":null})"
        "\n");
  PolicyReport noted;
  noted.note = "not looked at";
  CHECK(as_json(noted) == R"({"result":"ok","problems":[],"programs":[],"note":"not looked at"})"
                          "\n");
}

}  // namespace warder::proxy
