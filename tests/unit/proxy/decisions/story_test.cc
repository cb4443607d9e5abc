#include "proxy/decisions/story.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/record.h"
#include "proxy/record_format.h"
#include "sample.h"

namespace warder::decisions {
namespace {

using sample::EventLine;
using sample::RecordLine;

std::string tell(const std::vector<std::string>& events, const std::vector<std::string>& records,
                 bool brief) {
  std::vector<LoggedLine> logged, recorded;
  for (const std::string& text : events) logged.push_back({text});
  for (const std::string& text : records) recorded.push_back({text});
  return tell_story(logged, recorded, brief);
}

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("decisions: who, what and why") {
  const EventLine line{.reason = "no endpoint for a:1; policy web requires assurance proven"};
  const std::string story = tell({line.text()}, {RecordLine().text()}, true);
  CHECK(has(story, "caller       /usr/bin/python3.11 (exact, proven)\n"));
  CHECK(has(story, "started by   /usr/bin/bash\n"));
  CHECK(has(story, "asked for    CONNECT api.example.com:443\n"));
  CHECK(has(story, "outcome      deny\n"));
  CHECK(has(story,
            "why          no endpoint for a:1\n"
            "             policy web requires assurance proven\n"));
  CHECK(has(story, "answered     403 denied\n"));
  CHECK_FALSE(has(story, "process"));
  const std::string whole = tell({line.text()}, {RecordLine().text()}, false);
  CHECK(has(whole,
            "process      pid 469 uid 1000 gid 1000, connector, holder: /usr/bin/python3.11\n"));
  CHECK(has(whole, "  container 4f5a0c1d2e3f4f5a0c1d2e3f\n"));
  CHECK(has(whole, "took         1.31 ms, evaluation 783.3 us\n"));
  CHECK(has(whole, "took         90 us to find the caller, 1500 us to ask OPA\n"));
}

TEST_CASE("decisions: the short form has the whole answer") {
  std::string line = EventLine{.allow = "true",
                               .policy = R"("web","enforcement":"audit","sni":"match")",
                               .revision = R"("r7","allowed_ips":["10.0.0.0/8","192.0.2.1/32"])"}
                         .text();
  line.replace(line.find(R"("sha256":null)"), 13, R"("sha256":"0f1e")");
  const std::string story = tell({line}, {}, true);
  CHECK(has(story, "sha256       0f1e\n"));
  CHECK(has(story,
            "policy       web\n"
            "enforcement  audit\n"
            "allowed_ips  10.0.0.0/8, 192.0.2.1/32\n"
            "sni          match\n"
            "revision     r7\n"));
}

TEST_CASE("decisions: the short form names every process of a caller without a name") {
  EventLine line;
  line.binary = "null";
  CHECK(has(tell({line.text()}, {}, true), "process      pid 469 uid 1000 gid 1000, "));
}

// As Warder writes it.
std::string written(const proxy::DecisionRecord& record) {
  return proxy::format({}, record, proxy::LogFormat::json);
}

proxy::DecisionRecord audited() {
  proxy::DecisionRecord record;
  record.subject.request_id = "0123456789abcdef0123456789abcdef";
  record.subject.decision_id = "9fd2a94a-6a1e-4dbe-8b4c-10b5d4f4e7a5";
  record.subject.host = "api.example.com";
  record.subject.port = 443;
  record.subject.binary = "/usr/bin/python3.11";
  record.subject.pid = 469;
  record.subject.uid = 1000;
  record.verdict = proxy::Verdict::allow;
  record.code = "allowed";
  record.reason = "would be denied: no endpoint";
  record.policy = "web";
  record.would_deny = true;
  record.scope = "pid:469";
  record.method = "sock_diag";
  record.grade = "exact";
  record.assurance = "suspect";
  record.causes = {"traced", "image_writable"};
  record.sha256 = "0f1e";
  record.container = "4f5a0c1d2e3f";
  record.status = 200;
  return record;
}

TEST_CASE("decisions: a decision that only Warder's record has, with all that it has") {
  for (const bool brief : {false, true}) {
    CAPTURE(brief);
    const std::string story = tell({}, {written(audited())}, brief);
    CHECK(has(story,
              "answered     200 allowed\n"
              "decision     9fd2a94a-6a1e-4dbe-8b4c-10b5d4f4e7a5\n"
              "request      0123456789abcdef0123456789abcdef\n"
              "caller       /usr/bin/python3.11 (exact, suspect: traced, image_writable)\n"
              "sha256       0f1e\n"
              "asked for    CONNECT api.example.com:443\n"
              "outcome      allow, but only because it is audited\n"
              "why          would be denied: no endpoint\n"
              "policy       web\n"
              "scope        pid:469, by sock_diag\n"
              "process      pid 469 uid 1000\n"
              "container    4f5a0c1d2e3f\n"));
  }
}

TEST_CASE("decisions: a caller without a name that only Warder's record has") {
  proxy::DecisionRecord record = audited();
  record.subject.kind = proxy::Kind::forward;
  record.subject.http_method = "POST";
  record.subject.path = "/upload";
  record.subject.binary.reset();
  record.verdict = proxy::Verdict::deny;
  record.would_deny = false;
  record.grade = "ambiguous";
  record.causes.clear();
  record.identity_reason = "several_holders";
  record.identity_detail = "pid:469 searched";
  record.holders = {"/usr/bin/bash", "/tmp/\x1b[2J"};
  record.connector = "/usr/bin/nc";
  record.relays = true;
  record.via = {"/usr/bin/ssh"};
  for (const bool brief : {false, true}) {
    CAPTURE(brief);
    const std::string story = tell({}, {written(record)}, brief);
    CHECK(has(story,
              "caller       (no program that can be named) (ambiguous, suspect)\n"
              "unknown      several_holders: pid:469 searched\n"));
    CHECK(has(story, "asked for    POST api.example.com:443 /upload\noutcome      deny\n"));
    CHECK(has(story,
              "connector    /usr/bin/nc\n"
              "holder       /usr/bin/bash\n"
              "holder       /tmp/\\x1b[2J\n"
              "relays       connections of other programs\n"
              "carries      /usr/bin/ssh\n"));
  }
}

TEST_CASE("decisions: the short form says once who it was") {
  const std::string record = written(audited());
  CHECK_FALSE(has(tell({EventLine().text()}, {record}, true), "container"));
  CHECK(has(tell({EventLine().text()}, {record}, false), "container    4f5a0c1d2e3f\n"));
  EventLine other;
  other.decision_id = "00000000-0000-4000-8000-000000000000";
  CHECK(has(tell({other.text()}, {record}, true), "container    4f5a0c1d2e3f\n"));
}

TEST_CASE("decisions: an answer that was given again") {
  const std::string record = RecordLine{.code = "allowed", .reused = "true"}.text();
  CHECK(has(tell({}, {record}, true),
            "answered     403 allowed, by the answer to an earlier question, 9fd2a94a-"));
}

TEST_CASE("decisions: an answer that Warder did not receive") {
  const std::string event = EventLine{.allow = "true"}.text();
  const std::string timeout =
      RecordLine{.decision_id = "null", .decision = "error", .code = "opa_timeout"}.text();
  const std::string_view received = "received     no: Warder did not get this answer, and said ";
  CHECK(has(tell({event}, {timeout}, true), std::string(received) + "403 opa_timeout\n"));
  const std::string other = RecordLine{.decision_id = "\"b\"", .code = "allowed"}.text();
  CHECK(has(tell({event}, {other, timeout}, true), std::string(received) + "403 opa_timeout\n"));
  CHECK_FALSE(has(tell({event}, {other}, true), received));
  CHECK_FALSE(has(tell({event}, {RecordLine().text(), timeout}, true), received));
  // The record of it may be among those that are not told.
  CHECK_FALSE(
      has(tell_story({{event}}, {{timeout}, {.text = other, .left_out = 1}}, true), received));
  CHECK_FALSE(has(tell_story({{event}}, {{timeout}, {.text = other, .count = 2}}, true), received));
}

TEST_CASE("decisions: records that stand for others") {
  const std::string story = tell_story(
      {},
      {{.text = RecordLine{.code = "reauthorized"}.text(), .count = 40, .since = "06:00"},
       {.text = RecordLine().text(), .left_out = 7}},
      true);
  CHECK(
      has(story,
          "record       decision at 2026-11-27T06:30:00.123999Z, the last of 40 alike since 06:00\n"
          "answered     403 reauthorized\n"));
  CHECK(has(story, "left out     7 more\n\nrecord       decision at "));
}

// An event with such a reason, of which `chosen` has a name with it.
std::string forged(std::string line, const std::string& place, const std::string& chosen) {
  return line.replace(line.find(place), place.size(), chosen);
}

TEST_CASE("decisions: a name puts no words on a line of its own") {
  const std::string name = "/tmp/x; policy web allows it";
  const EventLine plain{.reason = "no endpoint; not for " + name + "; see policy web"};
  const std::string whole = "why          no endpoint; not for " + name + "; see policy web\n";
  CHECK_FALSE(has(tell({plain.text()}, {}, true), whole));

  EventLine program = plain;
  program.binary = '"' + name + '"';
  EventLine host = plain;
  host.host = name;
  const std::string line = plain.text();
  for (const std::string& event :
       {program.text(), host.text(),
        forged(line, R"("ancestors":["/usr/bin/bash"],"binary")",
               R"("ancestors":[")" + name + R"("],"binary")"),
        forged(line, R"("path":null)", R"("path":")" + name + '"'),
        forged(line, R"("via":[])", R"("via":[{"path":")" + name + R"("}])")}) {
    CAPTURE(event);
    // Warder's record of it has the same reason.
    const std::string record = forged(RecordLine().text(), R"("reason":"no endpoint")",
                                      R"("reason":")" + plain.reason + '"');
    const std::string story = tell({event}, {record}, true);
    CHECK(has(story, whole));
    CHECK_FALSE(has(story, "             policy web"));
    CHECK_FALSE(has(tell({}, {record}, true), "             policy web"));
  }
}

TEST_CASE("decisions: how the caller was looked for is one part of a reason") {
  const std::string detail = "pid:1: not there; policy web allows it";
  EventLine line{.reason = "the caller is unknown (unresolved): " + detail + "; no endpoint"};
  const std::string story =
      tell({forged(line.text(), R"("detail":"")", R"("detail":")" + detail + '"')}, {}, true);
  CHECK(has(story, "why          the caller is unknown (unresolved): " + detail +
                       "\n             no endpoint\n"));
}

TEST_CASE("decisions: no decision") {
  CHECK(has(tell({R"({"decision_id":"a","path":"x/y"})"}, {}, true),
            "outcome      undefined: the policy has nothing to say at x/y\n"));
  CHECK(has(tell({R"({"decision_id":"a","error":{"code":"internal"}})"}, {}, true),
            "outcome      error\nwhy          {\"code\":\"internal\"}\n"));
  CHECK(has(tell({R"({"decision_id":"a","result":true})"}, {}, true), "outcome      allow\n"));
}

TEST_CASE("decisions: a story is printable, whatever was logged") {
  EventLine line{.host = "\\u001b[2J\\u009b\\u202e", .reason = "\\u0007\\n; \\ud83d\\ude00"};
  line.binary = R"("/tmp/\u001b]0;x\u0007\nallow")";
  const std::string story = tell({line.text()}, {RecordLine{.host = "\\u001b"}.text()}, false);
  CHECK(has(story, "\\x1b]0;x\\x07\\x0aallow"));
  for (const char c : story) CHECK((c == '\n' || (c >= 0x20 && c < 0x7f)));
}

TEST_CASE("decisions: anything may be missing, or another thing") {
  for (const char* text :
       {"{}", R"({"input":1,"result":2,"metrics":[],"labels":"x"})", "[]", "1",
        R"({"input":{"identity":{"processes":[1,null,{}],"via":[1]},"request":7}})",
        R"({"input":{"identity":[],"binary":{"a":[1]}},"result":{"reason":["a"]}})"}) {
    CAPTURE(text);
    CHECK_NOTHROW(tell({text}, {text}, false));
  }
}

}  // namespace
}  // namespace warder::decisions
