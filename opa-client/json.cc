#include "opa-client/json.h"

#include <fmt/format.h>
#include <rapidjson/error/en.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "net/utf8.h"

namespace warder::opa {
namespace {

using rapidjson::Value;

std::string_view text_of(const Value& value) {
  return {value.GetString(), value.GetStringLength()};
}

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

}  // namespace

Result<rapidjson::Document> parse_json(std::string_view text, JsonLimits limits) {
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
  if (deeper_than(text, limits.depth)) {
    return fail(Errc::opa_not_json, fmt::format("nested more than {} deep", limits.depth));
  }
  // Not kParseFullPrecisionFlag: it counts the leading zeros of 0 (undefined) at "0e-43", and the
  // last digit of a number decides nothing here.
  constexpr unsigned kFlags =
      rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag;
  rapidjson::Document document;
  document.Parse<kFlags>(text.data(), text.size());
  if (document.HasParseError()) {
    return fail(Errc::opa_not_json,
                fmt::format("byte {}: {}", document.GetErrorOffset(),
                            rapidjson::GetParseError_En(document.GetParseError())));
  }
  if (auto error = check(document)) return fail(std::move(*error));
  return document;
}

}  // namespace warder::opa
