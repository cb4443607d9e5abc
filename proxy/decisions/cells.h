#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace warder::decisions {

// Texts that others chose, made fit for a terminal, a spreadsheet, or another reader of JSON.

enum class Keep { front, back };

// Printable ASCII (text_escape.h), padded or cut to `width` columns; what is cut off is three dots.
[[nodiscard]] std::string cell(std::string_view text, std::size_t width, Keep keep = Keep::front);

// Of columns that several tables have.
inline constexpr std::size_t kTimeWidth = 24, kOutcomeWidth = 9, kBinaryWidth = 32,
                             kDestinationWidth = 36;

// A quoted field of RFC 4180 in printable ASCII. What a spreadsheet would take for a formula gets
// an apostrophe in front.
[[nodiscard]] std::string csv_field(std::string_view text);

// The same JSON document in ASCII without control bytes. `json` is a valid one, in one line.
[[nodiscard]] std::string ascii_json(std::string_view json);

}  // namespace warder::decisions
