#pragma once

#include <uv.h>

#include <chrono>
#include <functional>

#include "net/handle.h"
#include "net/loop.h"

namespace warder::net {

// One timer. The callback stays the timer's and runs on a stack of its own; it may start or stop
// the timer, and may destroy it only through Loop::retire of its owner.
class Timer {
 public:
  using Callback = std::function<void()>;

  // `loop` outlives the timer.
  Timer(Loop& loop, Callback callback);
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Fires once, `delay` from now (the loop's clock is read anew); replaces an earlier start.
  void start(std::chrono::milliseconds delay);
  void stop();
  [[nodiscard]] bool active() const;

 private:
  Callback callback_;
  Handle<uv_timer_t> handle_;
};

}  // namespace warder::net
