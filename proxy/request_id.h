#pragma once

#include <string>

namespace warder::proxy {

// 128 random bits from the kernel, as 32 hexadecimal digits: unique, and not to be guessed.
[[nodiscard]] std::string new_request_id();

// What a proxy calls itself in Via: a token that no other process has, so that a request which
// comes back is known (RFC 9110 section 7.6.3).
[[nodiscard]] std::string new_pseudonym();

}  // namespace warder::proxy
