#include "proxy/decisions/story.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>

#include "sample.h"

namespace warder::decisions {
namespace {

using sample::EventLine;
using sample::RecordLine;

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("decisions: who, what and why") {
  const EventLine line{.reason = "no endpoint for a:1; policy web requires assurance proven"};
  const std::string story = tell_story({line.text()}, {RecordLine().text()}, true);
  CHECK(has(story, "caller       /usr/bin/python3.11 (exact, proven)\n"));
  CHECK(has(story, "started by   /usr/bin/bash\n"));
  CHECK(has(story, "asked for    CONNECT api.example.com:443\n"));
  CHECK(has(story, "outcome      deny\n"));
  CHECK(has(story,
            "why          no endpoint for a:1\n"
            "             policy web requires assurance proven\n"));
  CHECK(has(story, "answered     403 denied\n"));
  CHECK_FALSE(has(story, "process"));
  const std::string whole = tell_story({line.text()}, {RecordLine().text()}, false);
  CHECK(has(whole,
            "process      pid 469 uid 1000 gid 1000, connector, holder: /usr/bin/python3.11\n"));
  CHECK(has(whole, "  container 4f5a0c1d2e3f4f5a0c1d2e3f\n"));
  CHECK(has(whole, "took         1.31 ms, evaluation 783.3 us\n"));
  CHECK(has(whole, "took         90 us to find the caller, 1500 us to ask OPA\n"));
}

TEST_CASE("decisions: an answer that was given again") {
  const std::string record = RecordLine{.code = "allowed", .reused = "true"}.text();
  CHECK(has(tell_story({}, {record}, true),
            "answered     403 allowed, by the answer to an earlier question, 9fd2a94a-"));
}

TEST_CASE("decisions: no decision") {
  CHECK(has(tell_story({R"({"decision_id":"a","path":"x/y"})"}, {}, true),
            "outcome      undefined: the policy has nothing to say at x/y\n"));
  CHECK(has(tell_story({R"({"decision_id":"a","error":{"code":"internal"}})"}, {}, true),
            "outcome      error\nwhy          {\"code\":\"internal\"}\n"));
  CHECK(
      has(tell_story({R"({"decision_id":"a","result":true})"}, {}, true), "outcome      allow\n"));
}

TEST_CASE("decisions: a story is printable, whatever was logged") {
  EventLine line{.host = "\\u001b[2J\\u009b\\u202e", .reason = "\\u0007\\n; \\ud83d\\ude00"};
  line.binary = R"("/tmp/\u001b]0;x\u0007\nallow")";
  const std::string story =
      tell_story({line.text()}, {RecordLine{.host = "\\u001b"}.text()}, false);
  CHECK(has(story, "\\x1b]0;x\\x07\\x0aallow"));
  for (const char c : story) CHECK((c == '\n' || (c >= 0x20 && c < 0x7f)));
}

TEST_CASE("decisions: anything may be missing, or another thing") {
  for (const char* text :
       {"{}", R"({"input":1,"result":2,"metrics":[],"labels":"x"})", "[]", "1",
        R"({"input":{"identity":{"processes":[1,null,{}],"via":[1]},"request":7}})",
        R"({"input":{"identity":[],"binary":{"a":[1]}},"result":{"reason":["a"]}})"}) {
    CAPTURE(text);
    CHECK_NOTHROW(tell_story({text}, {text}, false));
  }
}

}  // namespace
}  // namespace warder::decisions
