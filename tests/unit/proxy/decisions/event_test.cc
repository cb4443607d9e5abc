#include "proxy/decisions/event.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sample.h"

namespace warder::decisions {
namespace {

using sample::EventLine;
using sample::RecordLine;
using Kind = Event::Kind;

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), with);
}

TEST_CASE("decisions: an event of OPA's is understood") {
  EventReader reader;
  const Event& event = reader.read(EventLine().text());
  REQUIRE(event.kind == Kind::decision);
  CHECK(event.text(Field::decision_id) == "9fd2a94a-6a1e-4dbe-8b4c-10b5d4f4e7a5");
  CHECK(event.text(Field::request_id) == "0123456789abcdef0123456789abcdef");
  CHECK(event.text(Field::binary) == "/usr/bin/python3.11");
  CHECK(event.text(Field::host) == "api.example.com");
  CHECK(event.number(Field::port) == 443);
  CHECK(event.text(Field::grade) == "exact");
  CHECK(event.text(Field::assurance) == "proven");
  CHECK(event.text(Field::kind) == "connect");
  CHECK(event.number(Field::pid) == 469);
  CHECK(event.number(Field::uid) == 1000);
  CHECK(event.containers == std::vector<std::string_view>{"4f5a0c1d2e3f4f5a0c1d2e3f"});
  CHECK(event.text(Field::reason) == "no endpoint for api.example.com:443");
  CHECK(event.number(Field::handler_ns) == 1305525);
  CHECK(event.outcome() == "deny");
  CHECK(event.decision_path() == "egress/decision");
  CHECK(event.time() == 1795761000123456789);
}

TEST_CASE("decisions: a record of Warder's is understood") {
  EventReader reader;
  const Event& record = reader.read(RecordLine().text());
  REQUIRE(record.kind == Kind::record);
  CHECK(record.text(Field::event) == "decision");
  CHECK(record.text(Field::code) == "denied");
  CHECK(record.number(Field::status) == 403);
  CHECK(record.text(Field::host) == "api.example.com");
  CHECK(record.outcome() == "deny");
  CHECK(record.time() == 1795761000123999000);
}

TEST_CASE("decisions: what came of it") {
  EventReader reader;
  const std::string denied = EventLine().text();
  CHECK(reader.read(replaced(denied, R"("allow":false)", R"("allow":true)")).outcome() == "allow");
  CHECK(reader.read(replaced(denied, R"("allow":false)", R"("allow":"true")")).outcome() == "deny");
  CHECK(reader.read(replaced(denied, R"("allow":false,)", "")).outcome() == "deny");
  const std::string audited = replaced(denied, R"("allow":false)", R"("allow":true)");
  CHECK(reader.read(replaced(audited, R"("would_deny":false)", R"("would_deny":true)")).outcome() ==
        "audit");
  const std::string head = R"({"decision_id":"a","path":"x","timestamp":"t")";
  CHECK(reader.read(head + "}").outcome() == "undefined");
  CHECK(reader.read(head + R"(,"result":true})").outcome() == "allow");
  CHECK(reader.read(head + R"(,"result":false})").outcome() == "deny");
  CHECK(reader.read(head + R"(,"result":[true]})").outcome() == "deny");
  CHECK(reader.read(head + R"(,"result":null})").outcome() == "deny");
  CHECK(reader.read(head + R"(,"result":true,"error":{"code":"x"}})").outcome() == "error");
}

TEST_CASE("decisions: what says something twice is broken") {
  EventReader reader;
  const std::string line = EventLine().text();
  for (const std::string_view member :
       {R"("allow":true)", R"("allow":null)", R"("policy":"x")", R"("reason":"x")"}) {
    CAPTURE(member);
    const std::string twice =
        replaced(line, R"("result":{)", "\"result\":{" + std::string(member) + ",");
    CHECK(reader.read(twice).kind == Kind::broken);
  }
  CHECK(reader.read(EventLine{.more = R"(,"decision_id":"x")"}.text()).kind == Kind::broken);
  CHECK(reader.read(EventLine{.more = R"(,"result":{"reason":"x"})"}.text()).kind == Kind::broken);
  CHECK(reader.read(EventLine{.more = R"(,"result":{})"}.text()).kind == Kind::broken);
  CHECK(reader.read(EventLine{.more = R"(,"input":{})"}.text()).kind == Kind::broken);
  // A member of a record's that an event has elsewhere.
  CHECK(reader.read(EventLine{.more = R"(,"binary":"/bin/x")"}.text()).kind == Kind::broken);
  CHECK(reader.read(EventLine{.more = R"(,"labels2":{"a":1,"a":2})"}.text()).kind ==
        Kind::decision);
}

TEST_CASE("decisions: what is not of the form is foreign or broken") {
  EventReader reader;
  for (const std::string_view line :
       {"", "  ", "plain text", "[1]", "42", "time=now level=info msg=\"Decision Log\"", "{}",
        R"({"level":"info","msg":"Initializing server."})", R"({"decision_id":1,"path":"x"})",
        R"({"decision_id":"x","timestamp":"t"})", R"({"event":"decision"})"}) {
    CAPTURE(line);
    CHECK(reader.read(line).kind == Kind::foreign);
  }
  const std::string line = EventLine().text();
  CHECK(reader.read(line + " ").kind == Kind::decision);
  CHECK(reader.read(line + "x").kind == Kind::broken);
  CHECK(reader.read(line.substr(0, line.size() - 1)).kind == Kind::broken);
  CHECK(reader.read("{\"a\":\"\xff\"}").kind == Kind::broken);
  CHECK(reader.read(std::string("{\"a\":1}\0", 8)).kind == Kind::broken);
  std::string deep = R"({"a":)" + std::string(100, '[') + std::string(100, ']') + "}";
  CHECK(reader.read(deep).kind == Kind::broken);
}

TEST_CASE("decisions: numbers of any size") {
  EventReader reader;
  for (const std::string_view port : {"-1", "1.5", "1e2", "99999999999999999999999"}) {
    CAPTURE(port);
    const Event& event = reader.read(EventLine{.port = std::string(port)}.text());
    REQUIRE(event.kind == Kind::decision);
    CHECK_FALSE(event.number(Field::port));
    CHECK(event.at(Field::port).text == port);
  }
  CHECK(reader.read(EventLine{.port = "1e999999999"}.text()).kind == Kind::broken);
}

TEST_CASE("decisions: revisions") {
  EventReader reader;
  CHECK(reader.read(EventLine{.revision = R"("r7")"}.text()).revision() == "r7");
  CHECK(reader.read(EventLine().text()).revision().empty());
  const std::string bundles =
      R"(,"bundles":{"a":{"revision":"1"},"b":{"revision":"2","x":{"revision":"3"}}})";
  CHECK(reader.read(EventLine{.more = bundles}.text()).revision() == "a=1,b=2");
  CHECK(reader.read(EventLine{.more = R"(,"revision":"old")"}.text()).revision() == "old");
}

TEST_CASE("decisions: containers of every process, ids of the first") {
  EventReader reader;
  const std::string line = replaced(
      EventLine().text(), R"("uid":1000}])",
      R"("uid":1000},{"pid":1,"uid":2,"container":"beef","x":[{"container":"no"}]},{"container":null}])");
  const Event& event = reader.read(line);
  REQUIRE(event.kind == Kind::decision);
  CHECK(event.number(Field::pid) == 469);
  REQUIRE(event.containers.size() == 2);
  CHECK(event.containers[1] == "beef");
}

}  // namespace
}  // namespace warder::decisions
