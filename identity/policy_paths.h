#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace warder::identity {

// The paths of programs that the policy mentions, as it writes them: each caller is looked for at
// every one of them (Process::names). Any thread.
class PolicyPaths {
 public:
  static constexpr std::size_t kMost = 4096;
  static constexpr std::size_t kLongest = 4095;  // PATH_MAX, without its NUL

  // In place of those before. Kept are the first kMost that can be looked up: absolute, of at most
  // kLongest bytes, without a NUL; each once. How many were left out.
  std::size_t set(std::vector<std::string> paths);

  // One more with each set() that changed anything; 0 before the first.
  [[nodiscard]] std::uint64_t generation() const {
    return generation_.load(std::memory_order_acquire);
  }
  struct List {
    std::uint64_t generation = 0;
    std::vector<std::string> paths;
  };
  [[nodiscard]] List list() const;

 private:
  std::atomic<std::uint64_t> generation_{0};
  mutable std::mutex mutex_;  // guards what follows
  std::vector<std::string> paths_;
};

}  // namespace warder::identity
