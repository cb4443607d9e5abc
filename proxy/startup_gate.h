#pragma once

#include <atomic>

namespace warder::proxy {

// Whether requests are decided yet: shut until Readiness opens it, and never shut again. Any
// thread.
class StartupGate {
 public:
  void open() { open_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool is_open() const { return open_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> open_{false};
};

}  // namespace warder::proxy
