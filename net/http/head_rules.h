#pragma once

#include <string_view>

#include "net/http/head.h"
#include "net/result.h"

namespace warder::http {

// The strict half of the head reader: what must hold for a proxy and what llhttp doesn't ask.
// Pure functions of the parts read so far.

// RFC 9110 section 5.6.2.
[[nodiscard]] bool is_token_char(char c);

// A method llhttp parses over HTTP, and PRI, which only the HTTP/2 preface uses.
[[nodiscard]] bool is_known_method(std::string_view method);

// Fills major and minor from "HTTP/1.1" or "HTTP/1.0", the two versions served.
[[nodiscard]] Result<void> read_version(std::string_view text, RequestHead& head);

// Fills form, scheme and authority from method and target.
[[nodiscard]] Result<void> read_target(RequestHead& head);

// What the headers say of host and body, against the request line.
[[nodiscard]] Result<void> check_headers(const RequestHead& head);

// Equal but for the case of ASCII letters.
[[nodiscard]] bool same_name(std::string_view a, std::string_view b);

}  // namespace warder::http
