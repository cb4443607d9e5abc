#pragma once

#include <array>
#include <cstddef>

namespace warder::http {

// How many bytes at a time the readers get in every case; the last is all of them.
constexpr std::array<std::size_t, 10> kSizes{1, 2, 3, 4, 5, 7, 8, 16, 31, 1U << 20};

}  // namespace warder::http
