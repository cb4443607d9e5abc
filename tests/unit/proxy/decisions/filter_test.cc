#include "proxy/decisions/filter.h"

#include <catch2/catch_test_macros.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "proxy/decisions/glob.h"
#include "sample.h"

namespace warder::decisions {
namespace {

using sample::EventLine;
using sample::RecordLine;

bool matches(const Filter& filter, const std::string& line) {
  EventReader reader;
  return filter.matches(reader.read(line));
}

struct Case {
  const char* name;
  std::function<void(Filter&)> set;
  EventLine yes, no;
};

std::vector<Case> cases() {
  const EventLine plain;
  std::vector<Case> all;
  const auto add = [&](const char* name, std::function<void(Filter&)> set, EventLine yes,
                       EventLine no) {
    all.push_back({name, std::move(set), std::move(yes), std::move(no)});
  };
  add("binary", [](Filter& f) { f.binaries = {"/usr/bin/python3.11"}; }, plain,
      {.binary = "\"/usr/bin/python3\""});
  add("binary with a star", [](Filter& f) { f.binaries = {"/usr/*/python*"}; }, plain,
      {.binary = "\"/usr/local/bin/python3\""});
  add("no binary", [](Filter& f) { f.binaries = {"**"}; }, plain, {.binary = "null"});
  add("one of two hosts",
      [](Filter& f) {
        f.hosts = {"x.org", "api.example.com"};
      },
      plain, {.host = "example.com"});
  add("host with a star", [](Filter& f) { f.hosts = {"*.example.com"}; }, plain,
      {.host = "a.b.example.com"});
  add("port", [](Filter& f) { f.ports = {80, 443}; }, plain, {.port = "444"});
  add("no port", [](Filter& f) { f.ports = {0, 443}; }, plain, {.port = "null"});
  add(
      "allow", [](Filter& f) { f.allow = true; }, {.allow = "true"}, plain);
  add("deny", [](Filter& f) { f.deny = true; }, plain, {.allow = "true"});
  add(
      "policy", [](Filter& f) { f.policies = {"web"}; }, {.policy = "\"web\""}, plain);
  add("reason", [](Filter& f) { f.reason = "endpoint for api"; }, plain, {.reason = "other"});
  add("revision", [](Filter& f) { f.revisions = {"r1"}; }, {.revision = "\"r1\""},
      {.revision = "\"r2\""});
  add("request id", [](Filter& f) { f.request_ids = {"0123456789abcdef0123456789abcdef"}; }, plain,
      {.request_id = "x"});
  add("decision id", [](Filter& f) { f.decision_ids = {"9fd2a94a-6a1e-4dbe-8b4c-10b5d4f4e7a5"}; },
      plain, {.decision_id = "x"});
  add("path", [](Filter& f) { f.path = "egress/decision"; }, {.path = "/egress/decision"},
      {.path = "other/decision"});
  add("since", [](Filter& f) { f.since = 1795761000123456789; }, plain,
      {.timestamp = "2026-11-27T06:30:00.123456788Z"});
  add("until", [](Filter& f) { f.until = 1795761000123456790; }, plain,
      {.timestamp = "2026-11-27T06:30:00.12345679Z"});
  add("no time", [](Filter& f) { f.since = 0; }, plain, {.timestamp = "yesterday"});
  return all;
}

TEST_CASE("decisions: each filter") {
  for (const Case& one : cases()) {
    CAPTURE(one.name);
    Filter filter;
    one.set(filter);
    CHECK(matches(filter, one.yes.text()));
    CHECK_FALSE(matches(filter, one.no.text()));
    // The bytes of what is wanted are never ruled out.
    CHECK_FALSE(Prefilter(filter).rules_out(one.yes.text()));
  }
}

TEST_CASE("decisions: filters by words of the identity and by container") {
  Filter filter;
  filter.grades = {"exact"};
  filter.assurances = {"observed", "proven"};
  filter.containers = {"4f5a0c1d2e3f"};
  const std::string line = EventLine().text();
  CHECK(matches(filter, line));
  CHECK(matches(filter, RecordLine().text()));
  filter.containers = {"4f5a0c1d2e40"};
  CHECK_FALSE(matches(filter, line));
  CHECK_FALSE(matches(filter, RecordLine().text()));
  filter = {};
  filter.grades = {"shared"};
  CHECK_FALSE(matches(filter, line));
  filter = {};
  filter.assurances = {"suspect"};
  CHECK_FALSE(matches(filter, line));
}

TEST_CASE("decisions: any path, and allow with deny is everything") {
  Filter filter;
  filter.path = "*";
  filter.allow = filter.deny = true;
  CHECK(matches(filter, EventLine{.path = "system/main"}.text()));
}

TEST_CASE("decisions: Warder's probes are left out") {
  std::string line = EventLine{.host = "probe.invalid", .binary = "null"}.text();
  CHECK(matches({}, line));  // somebody else asked for that name
  line.replace(line.find(R"("reason":null)"), 13, R"("reason":"probe")");
  CHECK_FALSE(matches({}, line));
  Filter filter;
  filter.probes = true;
  CHECK(matches(filter, line));
}

TEST_CASE("decisions: what a prefilter rules out") {
  Filter filter;
  filter.hosts = {"api.example.com"};
  filter.binaries = {"/usr/bin/curl", "/usr/bin/wget"};
  const Prefilter prefilter(filter);
  REQUIRE(prefilter.active());
  CHECK_FALSE(prefilter.rules_out(R"({"host":"api.example.com","binary":"/usr/bin/wget"})"));
  CHECK(prefilter.rules_out(R"({"host":"api.example.org","binary":"/usr/bin/wget"})"));
  CHECK(prefilter.rules_out(R"({"host":"api.example.com","binary":"/usr/bin/socat"})"));
  CHECK_FALSE(prefilter.rules_out(R"({"host":"api.example.com","binary":"\/usr\/bin\/wget"})"));
  CHECK_FALSE(prefilter.rules_out(R"({"host":"\u0061pi.example.com","binary":"/usr/bin/wget"})"));
  CHECK_FALSE(prefilter.rules_out(R"({"MESSAGE":[123]})"));

  for (const char* pattern : {"*.example.com", "caf\xc3\xa9", "a\"b", "a\\b", "tab\t", ""}) {
    CAPTURE(pattern);
    Filter inexact;
    inexact.hosts = {pattern, "other"};
    CHECK_FALSE(Prefilter(inexact).active());
  }
}

TEST_CASE("decisions: stars in patterns") {
  CHECK(glob_matches("/usr/bin/*", "/usr/bin/curl", '/'));
  CHECK_FALSE(glob_matches("/usr/*", "/usr/bin/curl", '/'));
  CHECK(glob_matches("/usr/**", "/usr/bin/curl", '/'));
  CHECK(glob_matches("**/curl", "/usr/bin/curl", '/'));
  CHECK(glob_matches("**", "", '/'));
  CHECK_FALSE(glob_matches("", "x", '/'));
  CHECK(glob_matches("a*b*c", "aXbYbZc", '/'));
  CHECK_FALSE(glob_matches("a*b*c", "aXbYbZ", '/'));
  CHECK(glob_matches("*.example.com", "api.example.com", '.'));
  CHECK_FALSE(glob_matches("*.example.com", "a.b.example.com", '.'));
  CHECK_FALSE(glob_matches("*.example.com", "example.com", '.'));
}

}  // namespace
}  // namespace warder::decisions
