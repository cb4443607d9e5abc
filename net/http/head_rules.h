#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/http/head.h"
#include "net/result.h"

namespace warder::http {

// The strict half of the head reader: what must hold for a proxy and what llhttp doesn't ask.
// Pure functions of the parts read so far.

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_visible(char c) { return c > 0x20 && c < 0x7f; }
constexpr bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }
constexpr char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// RFC 9110 section 5.5: visible, blank, or obs-text, which is opaque and passed on.
constexpr bool is_value_char(char c) { return is_visible(c) || is_blank(c) || !is_ascii(c); }

// RFC 9110 section 5.6.2.
[[nodiscard]] bool is_token_char(char c);

[[nodiscard]] inline tl::unexpected<Error> bad_request(std::string detail) {
  return fail(Errc::bad_request, std::move(detail));
}

// A method llhttp parses over HTTP, and PRI, which only the HTTP/2 preface uses.
[[nodiscard]] bool is_known_method(std::string_view method);

inline constexpr std::size_t kVersionLength = 8;  // "HTTP/1.1"
// Fills major and minor from "HTTP/1.1" or "HTTP/1.0", the two versions served.
[[nodiscard]] Result<void> read_version(std::string_view text, RequestHead& head);

// Fills form, scheme and authority from method and target.
[[nodiscard]] Result<void> read_target(RequestHead& head);

// What the headers say of host and body, against the request line.
[[nodiscard]] Result<void> check_headers(const RequestHead& head);

// Equal but for the case of ASCII letters.
[[nodiscard]] bool same_name(std::string_view a, std::string_view b);

[[nodiscard]] std::string_view without_blanks(std::string_view text);

// The value of the first header of that name (any case), nullptr when there is none.
[[nodiscard]] const std::string* find_header(const std::vector<Header>& headers,
                                             std::string_view name);
[[nodiscard]] std::size_t count_headers(const std::vector<Header>& headers, std::string_view name);

}  // namespace warder::http
