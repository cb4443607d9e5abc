#include "proxy/decisions/cells.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>

#include "opa-client/json.h"

namespace warder::decisions {
namespace {

using std::string_view_literals::operator""sv;

TEST_CASE("decisions: cells have their width and nothing that moves a cursor") {
  CHECK(cell("abc", 5) == "abc  ");
  CHECK(cell("abcdef", 5) == "ab...");
  CHECK(cell("abcdef", 5, Keep::back) == "...ef");
  CHECK(cell("abcde", 5) == "abcde");
  for (const std::string_view text : {"\x1b[2J\x1b]0;x\x07"sv,
                                      "\xc2\x9b"
                                      "31m"sv,
                                      "a\r\nb"sv, "\0"sv, "\x7f"sv,
                                      "\xe2\x80\xae"
                                      "gpj.exe"sv,
                                      "\xff\xfe"sv, "\\x41"sv}) {
    for (const std::size_t width : {3U, 8U, 40U}) {
      for (const Keep keep : {Keep::front, Keep::back}) {
        const std::string shown = cell(text, width, keep);
        CHECK(shown.size() == width);
        for (const char c : shown) CHECK((c >= 0x20 && c < 0x7f));
      }
    }
  }
  CHECK(cell(std::string(1'000'000, 'x'), 4) == "x...");
}

TEST_CASE("decisions: CSV fields are quoted, and no formulas") {
  CHECK(csv_field("").empty());
  CHECK(csv_field("a,b") == "\"a,b\"");
  CHECK(csv_field("a\"b") == "\"a\"\"b\"");
  for (const char* formula : {"=1+1", "+1", "-1", "@SUM(A1)"}) {
    CAPTURE(formula);
    CHECK(csv_field(formula) == "\"'" + std::string(formula) + "\"");
  }
  CHECK(csv_field("\t=1") == "\"\\x09=1\"");
  CHECK(csv_field("\r\n=1") == "\"\\x0d\\x0a=1\"");
  CHECK(csv_field("\xef\xbc\x9d"
                  "1") == "\"\\xef\\xbc\\x9d1\"");
  CHECK(csv_field("a=1") == "\"a=1\"");
}

TEST_CASE("decisions: JSON in ASCII is the same document") {
  CHECK(ascii_json(R"({"a":"b"})") == R"({"a":"b"})");
  const std::string_view json =
      "{\"a\":\t\"caf\xc3\xa9 \xf0\x9f\x98\x80 \xe2\x80\xae\x7f\xc2\x9b\\n\"}\r";
  const std::string ascii = ascii_json(json);
  for (const char c : ascii) CHECK((c >= 0x20 && c < 0x7f));
  const auto before = opa::parse_json(json);
  const auto after = opa::parse_json(ascii);
  REQUIRE(before);
  REQUIRE(after);
  CHECK(*before == *after);
}

}  // namespace
}  // namespace warder::decisions
