#include "opa-client/json.h"

#include <fmt/format.h>
#include <rapidjson/error/en.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

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

// How long the sequence that begins with `lead` is, and what its second byte may be (RFC 3629,
// section 4). A length of 0: not a lead byte.
struct Sequence {
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
};

Sequence sequence_of(unsigned char lead) {
  if (lead < 0x80) return {1};
  if (lead < 0xC2) return {};
  if (lead < 0xE0) return {2};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead < 0xF0) return {3};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead < 0xF4) return {4};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {};
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  std::size_t i = 0;
  while (i < bytes.size()) {
    const Sequence sequence = sequence_of(at(i));
    if (sequence.length == 0 || sequence.length > bytes.size() - i) return false;
    if (sequence.length > 1 && (at(i + 1) < sequence.low || at(i + 1) > sequence.high)) {
      return false;
    }
    for (std::size_t k = 2; k < sequence.length; ++k) {
      if ((at(i + k) & 0xC0) != 0x80) return false;
    }
    i += sequence.length;
  }
  return true;
}

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
