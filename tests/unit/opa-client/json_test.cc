#include "opa-client/json.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace warder::opa {
namespace {

using std::string_view_literals::operator""sv;

Errc code_of(std::string_view text, JsonLimits limits = {}) {
  const auto document = parse_json(text, limits);
  REQUIRE_FALSE(document);
  CHECK_FALSE(document.error().detail.empty());
  return document.error().code;
}

TEST_CASE("json: what is not one strict document is refused", "[opa]") {
  const std::vector<std::string_view> texts{
      "",
      " ",
      "{",
      "[1,]",
      "{\"a\":1,}",
      "{'a':1}",
      "nul",
      "{} {}",
      "{}x",
      "{}\0"sv,
      "{}\0{\"result\":true}"sv,
      "\"a\0b\""sv,
      "\xEF\xBB\xBF{}",
      "// comment\n{}",
      "NaN",
      "Infinity",
      "01",
      "+1",
      "1e999",
      "\"\x01\"",
      "\"\n\"",
      "\"\\x41\"",
      "\"\xFF\"",
      "\"\xC0\xAF\"",          // overlong '/'
      "\"\xED\xA0\x80\"",      // a surrogate as UTF-8
      "\"\xF4\x90\x80\x80\"",  // above U+10FFFF
      "\"\xE2\x82\"",
      "{\"\xFF\":1}",
      "\"\\ud800\"",
      "\"\\udc00\"",
      "{\"\\udc00\":1}",
      "[\"\\udfff\"]",
      "\"\\ud800\\u0041\"",
  };
  for (const std::string_view text : texts) {
    INFO(text);
    CHECK(code_of(text) == Errc::opa_not_json);
  }
}

TEST_CASE("json: the byte that is not UTF-8 is told", "[opa]") {
  const auto document = parse_json("{\"a\":\"\xC3\xA9\xFF\"}");
  REQUIRE_FALSE(document);
  CHECK(document.error().detail == "not UTF-8 at byte 8");
}

TEST_CASE("json: no key twice in one object, at any depth", "[opa]") {
  CHECK(code_of(R"({"a":1,"a":1})") == Errc::opa_not_json);
  CHECK(code_of(R"({"a":1,"b":2,"\u0061":3})") == Errc::opa_not_json);
  CHECK(code_of(R"({"x":{"a":1,"a":2}})") == Errc::opa_not_json);
  CHECK(code_of(R"([[{"a":1,"c":{"d":[{"e":1,"e":2}]}}]])") == Errc::opa_not_json);
  CHECK(code_of(R"({"":1,"":2})") == Errc::opa_not_json);
  CHECK(parse_json(R"({"a":{"a":1},"b":{"a":2},"A":3})"));
  const auto twice = parse_json(R"({"allow":false,"allow":true})");
  REQUIRE_FALSE(twice);
  CHECK(twice.error().detail == "the key \"allow\" appears twice in one object");
}

TEST_CASE("json: depth and size are bounded exactly", "[opa]") {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(parse_json(nested(8), {1024, 8}));
  CHECK(code_of(nested(9), {1024, 8}) == Errc::opa_not_json);
  CHECK(code_of(std::string(1 << 20, '[')) == Errc::opa_not_json);
  CHECK(code_of(R"({"a":[{"a":[]}]})", {1024, 3}) == Errc::opa_not_json);
  // Brackets in strings are text.
  CHECK(parse_json(R"(["[[[[[[[[","{\"[[[[[[\\"])", {1024, 1}));
  CHECK(code_of(R"(["\\",[[]]])", {1024, 2}) == Errc::opa_not_json);

  CHECK(parse_json("\"12345678\"", {10, 8}));
  CHECK(code_of("\"123456789\"", {10, 8}) == Errc::opa_too_large);
}

TEST_CASE("json: what is well formed is kept", "[opa]") {
  const auto document = parse_json(" {\"a\":[1,2.5,-3,true,null,\"\\ud83d\\ude00 \xC3\xA9\"]}\n");
  REQUIRE(document);
  const auto& list = (*document)["a"];
  REQUIRE(list.Size() == 6);
  CHECK(list[1].GetDouble() == 2.5);
  CHECK(std::string(list[5].GetString()) == "\xF0\x9F\x98\x80 \xC3\xA9");
}

}  // namespace
}  // namespace warder::opa
