#pragma once

#include <cstddef>
#include <cstdint>

// Sizes of pieces from 1 to 32, by a xorshift generator: the same input is always cut alike.
class Cuts {
 public:
  explicit Cuts(std::uint32_t seed) : state_(seed | 1U) {}
  std::size_t next() {
    state_ ^= state_ << 13U;
    state_ ^= state_ >> 17U;
    state_ ^= state_ << 5U;
    return 1 + state_ % 32;
  }

 private:
  std::uint32_t state_;
};
