#include "opa-client/json.h"

#include <fmt/format.h>
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "net/utf8.h"

namespace warder::opa {
namespace {

using rapidjson::Value;

// RapidJSON has no limit of its own, and whatever walks the document later recurses. Brackets in
// strings don't count. What is not JSON is left to the parser.
bool deeper_than(std::string_view text, unsigned limit) {
  unsigned depth = 0;
  bool in_string = false;
  bool escaped = false;
  for (const char c : text) {
    if (in_string) {
      if (escaped) {
        escaped = false;
      } else if (c == '\\') {
        escaped = true;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == '"') in_string = true;
    if (c == '[' || c == '{') {
      if (++depth > limit) return true;
    }
    if ((c == ']' || c == '}') && depth > 0) --depth;
  }
  return false;
}

std::optional<Error> check(const Value& value);

// FindMember returns the first of two equal keys where Go keeps the last: two readers of one answer
// would see different decisions.
std::optional<Error> check_members(const Value& object) {
  std::vector<std::string_view> keys;
  keys.reserve(object.MemberCount());
  for (const auto& member : object.GetObject()) {
    keys.push_back(text_of(member.name));
    if (auto error = check(member.name)) return error;
    if (auto error = check(member.value)) return error;
  }
  std::sort(keys.begin(), keys.end());
  const auto twice = std::adjacent_find(keys.begin(), keys.end());
  if (twice == keys.end()) return std::nullopt;
  return Error{Errc::opa_not_json, 0,
               fmt::format("the key \"{}\" appears twice in one object", twice->substr(0, 128))};
}

// Recursion is bounded by JsonLimits::depth.
std::optional<Error> check(const Value& value) {
  if (value.IsObject()) return check_members(value);
  if (value.IsArray()) {
    for (const Value& entry : value.GetArray()) {
      if (auto error = check(entry)) return error;
    }
  }
  // An escaped lone surrogate ("\udc00") passes the parser's own check of the input's encoding.
  if (value.IsString() && !is_utf8(text_of(value))) {
    return Error{Errc::opa_not_json, 0, "a string holds a lone surrogate"};
  }
  return std::nullopt;
}

// What RapidJSON would not tell of.
Result<void> check_bytes(std::string_view text, JsonLimits limits) {
  if (text.size() > limits.bytes) {
    return fail(Errc::opa_too_large,
                fmt::format("{} bytes, the limit is {}", text.size(), limits.bytes));
  }
  // RapidJSON takes a NUL for the end of its input and would not see what follows, and it skips a
  // byte order mark without a word.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    return fail(Errc::opa_not_json, fmt::format("a NUL at byte {}", nul));
  }
  if (text.substr(0, 3) == "\xEF\xBB\xBF") {
    return fail(Errc::opa_not_json, "begins with a byte order mark");
  }
  // Once for all of it: RapidJSON's own check looks at each character of each string.
  if (const std::size_t good = utf8_prefix(text); good != text.size()) {
    return fail(Errc::opa_not_json, fmt::format("not UTF-8 at byte {}", good));
  }
  return {};
}

Error not_json(rapidjson::ParseErrorCode code, std::size_t offset) {
  return Error{Errc::opa_not_json, 0,
               fmt::format("byte {}: {}", offset, rapidjson::GetParseError_En(code))};
}

// RapidJSON's events, for a JsonVisitor. Numbers come as RawNumber only.
struct Walk {
  JsonVisitor& visitor;
  const unsigned depth_limit;
  unsigned depth = 0;
  bool too_deep = false;

  bool Null() { return visitor.on_null(); }
  bool Bool(bool value) { return visitor.on_boolean(value); }
  bool Int(int /*value*/) { return false; }
  bool Uint(unsigned /*value*/) { return false; }
  bool Int64(std::int64_t /*value*/) { return false; }
  bool Uint64(std::uint64_t /*value*/) { return false; }
  bool Double(double /*value*/) { return false; }
  bool RawNumber(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    return visitor.on_number({text, size});
  }
  bool String(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    return visitor.on_string({text, size});
  }
  bool Key(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    return visitor.on_key({text, size});
  }
  bool open(bool object) {
    too_deep = ++depth > depth_limit;
    return !too_deep && visitor.on_open(object);
  }
  bool close() {
    --depth;
    return visitor.on_close();
  }
  bool StartObject() { return open(true); }
  bool EndObject(rapidjson::SizeType /*members*/) { return close(); }
  bool StartArray() { return open(false); }
  bool EndArray(rapidjson::SizeType /*entries*/) { return close(); }
};

}  // namespace

Result<void> walk_json(std::span<char> text, JsonVisitor& visitor, JsonLimits limits) {
  const std::string_view whole(text.data(), text.size());
  if (auto checked = check_bytes(whole, limits); !checked) return checked;
  constexpr unsigned kFlags = rapidjson::kParseInsituFlag | rapidjson::kParseIterativeFlag |
                              rapidjson::kParseNumbersAsStringsFlag;
  Walk walk{visitor, limits.depth};
  rapidjson::InsituStringStream stream(text.data());
  rapidjson::Reader reader;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, walk);
  if (walk.too_deep) {
    return fail(Errc::opa_not_json, fmt::format("nested more than {} deep", limits.depth));
  }
  if (result.Code() == rapidjson::kParseErrorTermination) {
    return fail(Errc::opa_bad_answer, fmt::format("unexpected at byte {}", result.Offset()));
  }
  if (result.IsError()) return fail(not_json(result.Code(), result.Offset()));
  return {};
}

Result<rapidjson::Document> parse_json(std::string_view text, JsonLimits limits) {
  rapidjson::Document document;
  if (auto parsed = parse_json(text, document, limits); !parsed) {
    return fail(std::move(parsed.error()));
  }
  return document;
}

Result<void> parse_json(std::string_view text, rapidjson::Document& document, JsonLimits limits) {
  if (auto checked = check_bytes(text, limits); !checked) return checked;
  if (deeper_than(text, limits.depth)) {
    return fail(Errc::opa_not_json, fmt::format("nested more than {} deep", limits.depth));
  }
  // Not kParseFullPrecisionFlag: it counts the leading zeros of 0 (undefined) at "0e-43", and the
  // last digit of a number decides nothing here.
  document.Parse<rapidjson::kParseIterativeFlag>(text.data(), text.size());
  if (document.HasParseError()) {
    return fail(not_json(document.GetParseError(), document.GetErrorOffset()));
  }
  if (auto error = check(document)) return fail(std::move(*error));
  return {};
}

}  // namespace warder::opa
