#pragma once

#include "net/result.h"

namespace warder::identity {

// How far a look may go. The parts of one investigator share it; like them it belongs to one thread
// at a time. A part that is made without one may always take its time.
class Effort {
 public:
  // While one of these lives, the look is one of a few microseconds, on a thread that serves
  // others.
  class AtOnce {
   public:
    explicit AtOnce(Effort& effort) : effort_(effort) {
      effort_.at_once_ = true;
      effort_.gave_up_ = false;
    }
    ~AtOnce() { effort_.at_once_ = false; }
    AtOnce(const AtOnce&) = delete;
    AtOnce& operator=(const AtOnce&) = delete;

   private:
    Effort& effort_;
  };

  [[nodiscard]] bool at_once() const { return at_once_; }
  // Asked before whatever may wait, for a file system or for another process, or takes long. False:
  // leave it undone, and hand on any failure; nobody takes what the look comes to for an answer.
  [[nodiscard]] bool may_wait() {
    gave_up_ |= at_once_;
    return !at_once_;
  }
  // Whether something was left undone in the present look, or else in the last one, that was
  // AtOnce.
  [[nodiscard]] bool gave_up() const { return gave_up_; }

 private:
  bool at_once_ = false;
  bool gave_up_ = false;
};

[[nodiscard]] inline bool may_wait(Effort* effort) {
  return effort == nullptr || effort->may_wait();
}
[[nodiscard]] inline bool at_once(const Effort* effort) {
  return effort != nullptr && effort->at_once();
}

[[nodiscard]] inline bool gave_up(const Effort* effort) {
  return effort != nullptr && effort->at_once() && effort->gave_up();
}
// The failure of what was not done because may_wait() said so.
[[nodiscard]] inline tl::unexpected<Error> left_undone() {
  return fail(Errc::cancelled, "it would take too long");
}

}  // namespace warder::identity
