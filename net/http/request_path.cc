#include "net/http/request_path.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include "net/utf8.h"

namespace warder::http {
namespace {

// The value of a hexadecimal digit, -1 for any other byte.
int digit_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool is_hex(char c) { return digit_value(c) >= 0; }

// RFC 3986 section 2.3.
bool is_unreserved(unsigned char byte) {
  constexpr std::string_view kMarks = "-._~";
  const auto c = static_cast<char>(byte);
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kMarks.find(c) != std::string_view::npos;
}

// The byte that the escape at `at` stands for.
unsigned char escaped_byte(std::string_view text, std::size_t at) {
  return static_cast<unsigned char>(digit_value(text[at + 1]) * 16 + digit_value(text[at + 2]));
}

tl::unexpected<Error> bad_escape(std::string_view text, std::size_t at, std::string_view where) {
  const std::size_t wrong = at + 1 < text.size() && is_hex(text[at + 1]) ? at + 2 : at + 1;
  if (wrong >= text.size()) {
    return fail(Errc::bad_request, fmt::format("the {} ends within a percent-escape", where));
  }
  return fail(Errc::bad_request,
              fmt::format("byte 0x{:02x} in a percent-escape of the {}: no hexadecimal digit",
                          static_cast<unsigned char>(text[wrong]), where));
}

Result<std::string> canonical(std::string_view raw, std::string_view where) {
  std::string out;
  out.reserve(raw.size());
  for (std::size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] != '%') {
      out += raw[i];
      continue;
    }
    if (raw.size() - i < 3 || !is_hex(raw[i + 1]) || !is_hex(raw[i + 2])) {
      return bad_escape(raw, i, where);
    }
    const unsigned char byte = escaped_byte(raw, i);
    if (is_unreserved(byte)) {
      out += static_cast<char>(byte);
    } else {
      out += fmt::format("%{:02X}", byte);
    }
    i += 2;
  }
  return out;
}

enum Doubt : std::size_t {
  encoded_slash,
  encoded_backslash,
  encoded_nul,
  encoded_control,
  encoded_question_mark,
  encoded_number_sign,
  encoded_percent,
  dot_segment,
  backslash,
  path_parameter,
  double_slash,
  non_utf8,
};

constexpr std::array<const char*, 12> kDoubtNames{
    "encoded_slash",   "encoded_backslash",     "encoded_nul",
    "encoded_control", "encoded_question_mark", "encoded_number_sign",
    "encoded_percent", "dot_segment",           "backslash",
    "path_parameter",  "double_slash",          "non_utf8"};

// Looks at a canonical path.
class Doubts {
 public:
  explicit Doubts(std::string_view path) {
    look_at_bytes(path);
    look_at_segments(path);
  }

  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < found_.size(); ++i) {
      if (found_[i]) names.emplace_back(kDoubtNames[i]);
    }
    return names;
  }

 private:
  void look_at_bytes(std::string_view path) {
    std::string decoded;
    decoded.reserve(path.size());
    for (std::size_t i = 0; i < path.size(); ++i) {
      if (path[i] == '\\') found_[backslash] = true;
      if (path[i] == ';') found_[path_parameter] = true;
      if (path[i] != '%') {
        decoded += path[i];
        continue;
      }
      const unsigned char byte = escaped_byte(path, i);
      i += 2;
      decoded += static_cast<char>(byte);
      look_at_escape(byte, path.substr(i + 1, 2));
    }
    if (!is_utf8(decoded)) found_[non_utf8] = true;
  }

  void look_at_escape(unsigned char byte, std::string_view next) {
    if (byte == 0) {
      found_[encoded_nul] = true;
    } else if (byte < 0x20 || byte == 0x7F) {
      found_[encoded_control] = true;
    }
    switch (byte) {
      case '/': found_[encoded_slash] = true; break;
      case '\\': found_[encoded_backslash] = true; break;
      case '?': found_[encoded_question_mark] = true; break;
      case '#': found_[encoded_number_sign] = true; break;
      case ';': found_[path_parameter] = true; break;
      case '%':
        if (next.size() == 2 && std::all_of(next.begin(), next.end(), is_hex)) {
          found_[encoded_percent] = true;
        }
        break;
      default: break;
    }
  }

  void look_at_segments(std::string_view path) {
    while (path.starts_with('/')) {
      path.remove_prefix(1);
      const std::size_t end = path.find('/');
      const std::string_view segment = path.substr(0, end);
      if (segment == "." || segment == "..") found_[dot_segment] = true;
      if (segment.empty() && end != std::string_view::npos) found_[double_slash] = true;
      path.remove_prefix(segment.size());
    }
  }

  std::array<bool, kDoubtNames.size()> found_{};
};

}  // namespace

Result<RequestPath> read_request_path(const RequestHead& head) {
  const std::size_t colon = head.target.find("://");
  if (head.form != RequestForm::absolute || colon == std::string::npos) {
    return fail(Errc::bad_request, "the target is no absolute URL");
  }
  const std::string_view rest = std::string_view(head.target).substr(colon + 3);
  const std::size_t begin = rest.find_first_of("/?");
  const std::string_view origin =
      begin == std::string_view::npos ? std::string_view() : rest.substr(begin);
  const std::size_t mark = origin.find('?');

  RequestPath out;
  out.path_raw = origin.substr(0, mark);
  if (out.path_raw.empty()) {
    out.path_raw = head.method == "OPTIONS" && mark == std::string_view::npos ? "*" : "/";
  }
  out.raw = out.path_raw;
  Result<std::string> path = canonical(out.path_raw, "path");
  if (!path) return fail(std::move(path.error()));
  out.path = std::move(*path);
  out.doubts = Doubts(out.path).names();
  if (mark == std::string_view::npos) return out;

  out.query_raw = origin.substr(mark + 1);
  Result<std::string> query = canonical(*out.query_raw, "query");
  if (!query) return fail(std::move(query.error()));
  out.query = std::move(*query);
  out.raw += '?';
  out.raw += *out.query_raw;
  return out;
}

}  // namespace warder::http
