#pragma once

#include <cstddef>
#include <string_view>

namespace warder {

// Well-formed UTF-8 in the sense of RFC 3629: no overlong forms, surrogates, or values above
// U+10FFFF.
[[nodiscard]] bool is_utf8(std::string_view bytes);

// How many of the first bytes are that: all of them, or those before the first sequence that is not
// well formed.
[[nodiscard]] std::size_t utf8_prefix(std::string_view bytes);

}  // namespace warder
