#include "proxy/decisions/lines_about.h"

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <string>
#include <vector>

#include "sample.h"

namespace warder::decisions {
namespace {

using sample::EventLine;
using sample::RecordLine;

const std::string kRequest = RecordLine().request_id;

LinesAbout records_about(const std::string& id, const std::vector<std::string>& lines) {
  LinesAbout about(Event::Kind::record, {id});
  EventReader reader;
  for (const std::string& line : lines) CHECK(about.on_item({reader.read(line), line}));
  return about;
}

std::string numbered(int number, const std::string& code) {
  return RecordLine{.decision_id = '"' + std::to_string(number) + '"', .code = code}.text();
}

std::string closing(const std::string& why) {
  return R"({"ts":"t","seq":9,"event":"tunnel","decision_id":"a","request_id":")" + kRequest +
         R"(","closed_by":"proxy","close_reason":")" + why + R"("})";
}

std::vector<std::string> texts(const LinesAbout& about) {
  std::vector<std::string> all;
  for (const LoggedLine& line : about.lines()) all.push_back(line.text);
  return all;
}

TEST_CASE("decisions: how a tunnel ended is told, however often it was decided again") {
  std::vector<std::string> lines{numbered(0, "allowed")};
  for (int i = 1; i <= 40; ++i) lines.push_back(numbered(i, "reauthorized"));
  lines.push_back(numbered(41, "revoked"));
  lines.push_back(closing("revoked"));
  const LinesAbout about = records_about(kRequest, lines);
  CHECK(texts(about) == std::vector<std::string>{lines[0], lines[40], lines[41], lines[42]});
  CHECK(about.lines()[1].count == 40);
  CHECK(about.lines()[1].since == "2026-11-27T06:30:00.123999Z");
  CHECK(about.left() == 0);
}

TEST_CASE("decisions: a tunnel that was often decided again without an answer") {
  std::vector<std::string> lines{numbered(0, "allowed")};
  for (int i = 1; i <= 40; ++i) {
    lines.push_back(numbered(i, i % 2 == 0 ? "reauthorized" : "opa_timeout"));
  }
  lines.push_back(numbered(41, "revoked"));
  lines.push_back(closing("revoked"));
  const LinesAbout about = records_about(kRequest, lines);
  const std::vector<std::string> kept = texts(about);
  REQUIRE(kept.size() == LinesAbout::kFirst + LinesAbout::kLast);
  CHECK(kept.front() == lines[0]);
  CHECK(kept[LinesAbout::kFirst - 1] == lines[LinesAbout::kFirst - 1]);
  CHECK(kept[kept.size() - 2] == lines[41]);
  CHECK(kept.back() == lines[42]);
  CHECK(about.left() == lines.size() - kept.size());
  CHECK(about.lines()[LinesAbout::kFirst].left_out == about.left());
}

TEST_CASE("decisions: what others did with an answer doesn't hide how its tunnel ended") {
  const std::string ended = GENERATE("revoked", "undecidable");
  std::vector<std::string> lines;
  for (int i = 0; i < 6; ++i) lines.push_back(RecordLine{.decision_id = "\"a\""}.text());
  lines.push_back(RecordLine{.decision_id = "\"a\"", .code = ended}.text());
  lines.push_back(closing(ended));
  for (int i = 0; i < 100; ++i) {
    lines.push_back(
        RecordLine{.decision_id = "\"a\"", .request_id = std::to_string(i), .reused = "true"}
            .text());
  }
  const LinesAbout about = records_about("a", lines);
  const std::vector<std::string> kept = texts(about);
  REQUIRE(kept.size() == LinesAbout::kFirst + LinesAbout::kLast);
  CHECK(kept[LinesAbout::kFirst] == lines[6]);
  CHECK(kept[LinesAbout::kFirst + 1] == lines[7]);
  CHECK(kept.back() == lines.back());
  std::uint64_t told = 0;
  for (const LoggedLine& line : about.lines()) told += line.left_out;
  CHECK(told == about.left());
  CHECK(about.left() == lines.size() - kept.size());
}

TEST_CASE("decisions: lines about others are not kept") {
  const LinesAbout about = records_about(kRequest, {EventLine().text(), closing("idle")});
  CHECK(texts(about) == std::vector<std::string>{closing("idle")});
  CHECK(records_about("b", {closing("idle")}).lines().empty());
  CHECK(about.decisions() == std::vector<std::string>{"a"});
  CHECK(about.requests() == std::vector<std::string>{kRequest});
}

}  // namespace
}  // namespace warder::decisions
