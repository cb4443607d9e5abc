#pragma once

#include <string>

namespace warder::proxy {

// 128 random bits from the kernel, as 32 hexadecimal digits: unique, and not to be guessed.
[[nodiscard]] std::string new_request_id();

}  // namespace warder::proxy
