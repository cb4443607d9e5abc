#pragma once

#include <uv.h>

#include "net/handle.h"
#include "net/loop.h"
#include "net/result.h"

namespace warder::net {

// What a descriptor is, or may be, ready for. An error shows as both: the next read or write, or
// SO_ERROR, says which error it is.
struct Readiness {
  bool readable = false;
  bool writable = false;
  friend bool operator==(const Readiness&, const Readiness&) = default;
};

// Watches one descriptor, level-triggered, through uv_poll_t. Does not own the descriptor: destroy
// the watcher, not only stop it, before the descriptor is closed or watched by another one
// (uv_close takes the descriptor's number out of epoll, whoever has it by then).
class FdWatcher {
 public:
  class Listener {
   public:
    // Runs on a stack of its own. May destroy the watcher, but itself only through Loop::retire.
    virtual void on_ready(FdWatcher& watcher, Readiness readiness) = 0;

   protected:
    ~Listener() = default;
  };

  // `loop` and `listener` outlive the watcher. `fd` is non-blocking. Watches nothing yet.
  // Errors: system (uv_poll_init refused the descriptor).
  static Result<std::unique_ptr<FdWatcher>> create(Loop& loop, int fd, Listener& listener);
  ~FdWatcher() = default;
  FdWatcher(const FdWatcher&) = delete;
  FdWatcher& operator=(const FdWatcher&) = delete;

  // Takes effect at once; nothing happens when it is what is watched already.
  void watch(Readiness interest);
  // Synchronous: after this no call comes, whatever was already pending.
  void stop() { watch({}); }
  [[nodiscard]] Readiness interest() const { return interest_; }

 private:
  FdWatcher(Handle<uv_poll_t> handle, Listener& listener);
  static void on_poll(uv_poll_t* handle, int status, int events);

  Handle<uv_poll_t> handle_;
  Listener& listener_;
  Readiness interest_;
};

}  // namespace warder::net
