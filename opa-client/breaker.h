#pragma once

#include <cstddef>

namespace warder::opa {

// Counts failures to get any answer. Open, it says that nobody is to be asked: whoever owns it
// tries by itself then, and tells of the first answer. A plain value.
class Breaker {
 public:
  // Open after so many failures in a row; 0: never.
  explicit Breaker(std::size_t failures) : limit_(failures) {}

  // Both say whether that changed anything.
  bool answered() {
    in_a_row_ = 0;
    const bool was_open = open_;
    open_ = false;
    return was_open;
  }
  bool failed() {
    ++in_a_row_;
    if (open_ || limit_ == 0 || in_a_row_ < limit_) return false;
    open_ = true;
    return true;
  }
  [[nodiscard]] bool open() const { return open_; }

 private:
  std::size_t limit_;
  std::size_t in_a_row_ = 0;
  bool open_ = false;
};

}  // namespace warder::opa
