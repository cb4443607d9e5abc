#pragma once

#include <poll.h>

#include <chrono>
#include <memory>
#include <span>
#include <vector>

#include "identity/effort.h"
#include "identity/sandbox.h"
#include "identity/sandbox_search.h"
#include "net/result.h"

namespace warder::identity {

// The configured sandboxes, each with the process that stands for it now. Belongs to one thread
// at a time.
class Sandboxes {
 public:
  // Errors: as of check(); for Kind::pid as of Sandbox::open(): that process must be there. Of the
  // other kinds it may come later.
  [[nodiscard]] static Result<std::unique_ptr<Sandboxes>> open(SandboxPlaces places,
                                                               std::span<const SandboxSpec> specs);

  // In the order of the specs. The vector and its elements stay where they are.
  [[nodiscard]] const std::vector<Sandbox>& list() const { return sandboxes_; }

  // Looks for the processes of those that have none, of every kind but `pid`, and once a second
  // whether a pidfile names another. One poll(2) while all are there. What is absent is searched
  // for during a tenth of the time at most, and once a second at least. At once (Effort) nothing is
  // searched for.
  void refresh(Effort* effort = nullptr);

 private:
  using Clock = std::chrono::steady_clock;
  struct Watch {
    Clock::time_point next;  // of a search
    // When the pidfile was written that named a process which has ended: it names nobody now.
    std::int64_t used_up = 0;
  };

  Sandboxes(SandboxPlaces places, std::vector<Sandbox> sandboxes);
  void poll_all();
  void search(std::size_t i, Effort* effort);
  void check_pidfile(std::size_t i, Effort* effort);

  const SandboxPlaces places_;
  std::vector<Sandbox> sandboxes_;
  std::vector<Watch> watches_;   // of each
  std::vector<pollfd> waiting_;  // of each; -1: no pidfd
};

}  // namespace warder::identity
