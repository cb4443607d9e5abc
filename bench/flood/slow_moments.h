#pragma once

#include <chrono>
#include <stop_token>
#include <thread>
#include <vector>

namespace warder::bench {

// A time in which the processors of this machine ran several times as slowly as else, and as long
// again, in which what has queued up meanwhile is done.
struct SlowMoment {
  std::chrono::steady_clock::time_point begin, end;
};

// Finds them, as the host of a virtual machine makes them: a thread does the same small piece of
// work again and again, some 2 % of one processor, and measures its own CPU time. Waiting for a
// processor is none of it. Interrupts are, so a load makes some: compare the parts that are left.
class SlowMoments {
 public:
  SlowMoments();
  SlowMoments(const SlowMoments&) = delete;
  SlowMoments& operator=(const SlowMoments&) = delete;

  // Ends the thread. In order.
  [[nodiscard]] std::vector<SlowMoment> stop();

 private:
  struct Piece {
    std::chrono::steady_clock::time_point end;
    std::chrono::nanoseconds cost;
  };
  void measure(const std::stop_token& stop);

  std::vector<Piece> pieces_;  // the thread's, until it has ended
  std::jthread thread_;
};

}  // namespace warder::bench
