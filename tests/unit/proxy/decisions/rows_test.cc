#include "proxy/decisions/rows.h"

#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <string>

#include "sample.h"

namespace warder::decisions {
namespace {

using sample::EventLine;
using sample::RecordLine;

std::string rows(Form form, const std::string& line, Answers* answers = nullptr) {
  char* bytes = nullptr;
  std::size_t size = 0;
  std::FILE* file = ::open_memstream(&bytes, &size);
  REQUIRE(file != nullptr);
  EventReader reader;
  Rows rows(file, form, answers);
  rows.heading();
  rows.write({reader.read(line), line});
  std::fclose(file);
  std::string text(bytes, size);
  std::free(bytes);
  return text;
}

TEST_CASE("decisions: a table for people") {
  CHECK(rows(Form::table, EventLine{.host = "2001:db8::1"}.text()) ==
        "TIME                     OUTCOME   BINARY                           DESTINATION"
        "                          POLICY           DECISION                             REASON\n"
        "2026-11-27T06:30:00.123Z deny      /usr/bin/python3.11              [2001:db8::1]:443"
        "                    -                9fd2a94a-6a1e-4dbe-8b4c-10b5d4f4e7a5 no endpoint for "
        "api.example.com:443\n");
}

TEST_CASE("decisions: CSV has a field for every heading") {
  const std::string text =
      rows(Form::csv, EventLine{.reason = "=cmd|' /C calc'!A0", .policy = "\"a,b\""}.text());
  const std::size_t end = text.find("\r\n");
  REQUIRE(end != std::string::npos);
  CHECK(text.substr(end + 2) ==
        "2026-11-27T06:30:00.123Z,\"deny\",,,\"/usr/bin/python3.11\",\"api.example.com\",443,"
        "\"connect\",\"CONNECT\",,\"a,b\",\"exact\",\"proven\",,469,1000,"
        "\"4f5a0c1d2e3f4f5a0c1d2e3f\",,,\"'=cmd|' /C calc'!A0\","
        "\"9fd2a94a-6a1e-4dbe-8b4c-10b5d4f4e7a5\",\"0123456789abcdef0123456789abcdef\",1305525,"
        "783278\r\n");
}

TEST_CASE("decisions: JSON is the event as it was logged") {
  const std::string line = EventLine().text();
  CHECK(rows(Form::json, line) == line + "\n");
}

TEST_CASE("decisions: what became of it is Warder's to say") {
  EventReader reader;
  Answers answers(10);
  REQUIRE(answers.add(reader.read(RecordLine{.reused = "true"}.text())));
  REQUIRE(answers.add(reader.read(RecordLine{.code = "address_blocked"}.text())));
  REQUIRE(answers.add(reader.read(RecordLine{.code = "later"}.text())));
  const std::string line = EventLine().text();
  CHECK(rows(Form::json, line, &answers) ==
        line.substr(0, line.size() - 1) + R"(,"warder":{"code":"address_blocked","status":403}})" +
            "\n");
  CHECK(rows(Form::table, line, &answers).find(" address_blocked ") != std::string::npos);
  const std::string other = EventLine{.decision_id = "x", .request_id = "y"}.text();
  CHECK(rows(Form::json, other, &answers) == other + "\n");
  // Warder got no answer, so it knows the request only.
  const std::string lost =
      RecordLine{.decision_id = "null", .request_id = "y", .code = "opa_timeout"}.text();
  REQUIRE(answers.add(reader.read(lost)));
  CHECK(answers.of(reader.read(other)).code == "opa_timeout");
}

TEST_CASE("decisions: a code that is none stays out of the output") {
  EventReader reader;
  Answers answers(10);
  REQUIRE(answers.add(reader.read(RecordLine{.code = "\\\"},{"}.text())));
  CHECK(answers.of(reader.read(EventLine().text())).code == "(another)");
}

TEST_CASE("decisions: records beyond the limit are refused") {
  EventReader reader;
  Answers answers(1);
  CHECK(answers.add(reader.read(RecordLine().text())));
  CHECK(answers.add(reader.read(RecordLine().text())));
  CHECK_FALSE(answers.add(reader.read(RecordLine{.decision_id = "\"x\""}.text())));
}

}  // namespace
}  // namespace warder::decisions
