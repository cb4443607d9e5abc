#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "net/loop.h"

namespace warder::testing {

// Descriptors of this process that are open now (/proc/self/fd).
[[nodiscard]] std::size_t open_descriptors();

// A loop and the check that nothing is left of a test: the destructor drains the loop, which aborts
// on a handle left open, and fails the test when more or fewer descriptors are open than before.
// Derive the test from it (TEST_CASE_METHOD), or declare it before everything that uses the loop.
class LoopFixture {
 public:
  LoopFixture();
  ~LoopFixture();
  LoopFixture(const LoopFixture&) = delete;
  LoopFixture& operator=(const LoopFixture&) = delete;

  [[nodiscard]] net::Loop& loop() { return *loop_; }

  // Runs the loop until `done()` is true; false when `limit` passed first. `done` is asked after
  // every turn, and every few milliseconds when nothing happens, so it may look at other threads.
  [[nodiscard]] bool run_until(const std::function<bool()>& done,
                               std::chrono::milliseconds limit = std::chrono::seconds(20));
  // Runs what is ready, `count` turns of it, without waiting.
  void run_turns(int count);
  // Runs the loop for a while: to show that something does *not* happen. Never to wait for
  // something that does.
  void run_for(std::chrono::milliseconds duration);

 private:
  std::size_t descriptors_before_;
  std::unique_ptr<net::Loop> loop_;
};

}  // namespace warder::testing
