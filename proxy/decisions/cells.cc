#include "proxy/decisions/cells.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "proxy/text_escape.h"

namespace warder::decisions {
namespace {

using proxy::visible;

constexpr std::string_view kDots = "...";

bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x7f;
}

// The code point of the sequence at `at`, which is well-formed, and its length.
std::pair<std::uint32_t, std::size_t> code_point(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<unsigned char>(text[at + i]));
  };
  const std::uint32_t lead = byte(0);
  const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (length == 1 || text.size() - at < length) return {lead, 1};
  std::uint32_t value = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) value = value << 6U | (byte(i) & 0x3FU);
  return {value, length};
}

void append_unicode(std::string& out, std::uint32_t value) {
  if (value < 0x10000) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", value);
    return;
  }
  value -= 0x10000;
  fmt::format_to(std::back_inserter(out), "\\u{:04x}\\u{:04x}", 0xD800 + (value >> 10U),
                 0xDC00 + (value & 0x3FFU));
}

}  // namespace

std::string cell(std::string_view text, std::size_t width, Keep keep) {
  // No byte is shown in less than one column.
  const bool long_text = text.size() > width;
  if (long_text) {
    text = keep == Keep::front ? text.substr(0, width + 1) : text.substr(text.size() - width - 1);
  }
  std::string shown = visible(text);
  if (shown.size() <= width) {
    shown.resize(width, ' ');
    return shown;
  }
  const std::size_t kept = width - std::min(width, kDots.size());
  if (keep == Keep::front) return shown.substr(0, kept).append(kDots);
  return std::string(kDots).append(shown.substr(shown.size() - kept));
}

std::string csv_field(std::string_view text) {
  if (text.empty()) return {};
  std::string out = "\"";
  // OWASP, "CSV Injection"; tabs and line ends are not there any more.
  if (std::string_view("=+-@").find(text.front()) != std::string_view::npos) out += '\'';
  for (const char c : visible(text)) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

std::string ascii_json(std::string_view json) {
  if (std::all_of(json.begin(), json.end(), is_plain)) return std::string(json);
  std::string out;
  out.reserve(json.size() + json.size() / 8);
  for (std::size_t i = 0; i < json.size();) {
    const auto [value, length] = code_point(json, i);
    if (value == '\t' || value == '\r' || value == '\n') {
      out += ' ';  // between tokens; inside a string they would be escaped already
    } else if (value < 0x7f) {
      out += json[i];
    } else {
      append_unicode(out, value);
    }
    i += length;
  }
  return out;
}

}  // namespace warder::decisions
