#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::identity {

// A configured sandbox: the process that stands for it. Its directory is held open, so that what is
// read below it is never of another process that got the same number later.
class Sandbox {
 public:
  // Errors: not_found, not_permitted, system.
  [[nodiscard]] static Result<Sandbox> open(int proc_root, pid_t pid);

  [[nodiscard]] pid_t pid() const { return pid_; }
  // /proc/<pid>, O_PATH.
  [[nodiscard]] int directory() const { return directory_.get(); }
  // Its root directory as it was at the beginning, O_PATH, or -1 when it may not be looked into. A
  // process can make itself a mount namespace of its own later: what that shows names nothing.
  [[nodiscard]] int root() const { return root_.get(); }
  // What happened to it, in a few words, or nullopt while it lives.
  [[nodiscard]] std::optional<std::string> ended() const;

 private:
  Sandbox(pid_t pid, std::uint64_t start_time, net::UniqueFd directory, net::UniqueFd root)
      : pid_(pid),
        start_time_(start_time),
        directory_(std::move(directory)),
        root_(std::move(root)) {}

  pid_t pid_;
  std::uint64_t start_time_;
  net::UniqueFd directory_;
  net::UniqueFd root_;
};

}  // namespace warder::identity
