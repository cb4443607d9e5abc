#pragma once

#include <string>
#include <string_view>

namespace warder::decisions {

// A pattern in which `*` stands for any bytes without `separator`, `**` for any bytes, and all else
// for itself. Time is at most quadratic in the text.
[[nodiscard]] bool glob_matches(std::string_view pattern, std::string_view text, char separator);

// Whether it has a star.
[[nodiscard]] inline bool is_glob(std::string_view pattern) {
  return pattern.find('*') != std::string_view::npos;
}

}  // namespace warder::decisions
