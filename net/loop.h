#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "net/handle.h"

namespace warder::net {

// Owns one uv_loop_t. All methods but post() and stop() belong to the thread that runs it.
// Creating one makes the process ignore SIGPIPE: splice(2) to a closed socket raises it, and has no
// MSG_NOSIGNAL.
// The destructor empties the graveyard, destroys (without running) tasks still posted, closes what
// is the loop's own, and aborts if somebody else's handle is still open: that is a leak.
class Loop {
 public:
  using Task = std::function<void()>;

  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  [[nodiscard]] uv_loop_t* uv() { return &loop_; }

  // Runs until stop(). What was retired meanwhile is destroyed before it returns, so that nothing
  // retired outlives what its owner destroys next. May be called again afterwards.
  void run();
  // Runs what is ready and returns (tests).
  void run_once_nowait();
  // Any thread. Makes run() return after the current turn; remembered if run() has not begun.
  void stop();

  // Any thread. Runs `task` on the loop's thread, on a stack of its own, in the order posted.
  // A task posted after the loop's last run is destroyed without being run.
  void post(Task task);

  // Milliseconds of the loop's monotonic clock, as of the beginning of this turn.
  [[nodiscard]] std::uint64_t now_ms() const { return uv_now(&loop_); }

  // Destroys `object` in a later turn: for an object one of whose functions is on the stack.
  // The object must have stopped its watchers, timers and calls before.
  template <class T>
  void retire(std::unique_ptr<T> object) {
    if (object) bury(std::shared_ptr<void>(std::move(object)));
  }

 private:
  void bury(std::shared_ptr<void> object);
  void run_posted();
  void run_uv(uv_run_mode mode);

  uv_loop_t loop_{};
  Handle<uv_async_t> wake_;
  Handle<uv_idle_t> own_posts_;  // active while its own thread has posted
  Handle<uv_idle_t> undertaker_;
  std::vector<std::shared_ptr<void>> graveyard_;
  std::mutex mutex_;  // guards what follows
  std::vector<Task> posted_;
  std::thread::id runner_;  // while it runs
  bool stopping_ = false;
};

}  // namespace warder::net
