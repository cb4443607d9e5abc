#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "identity/identity.h"
#include "identity/sandbox_spec.h"
#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::identity {

// A configured sandbox and the process that stands for it, where there is one now. The process's
// directory is held open, so that what is read below it is never of another process that got the
// same number later.
class Sandbox {
 public:
  // A sandbox of Kind::pid. Errors: not_found, not_permitted, system.
  [[nodiscard]] static Result<Sandbox> open(int proc_root, pid_t pid);
  // One of which no process is known yet.
  explicit Sandbox(SandboxSpec spec);

  [[nodiscard]] const SandboxSpec& spec() const { return spec_; }
  [[nodiscard]] Scope scope() const;
  // 0 when there is no such process yet.
  [[nodiscard]] pid_t pid() const { return pid_; }
  // /proc/<pid>, O_PATH; -1 when there is no such process yet.
  [[nodiscard]] int directory() const { return directory_.get(); }
  // Its root directory as it was at the beginning, O_PATH, or -1 when it may not be looked into. A
  // process can make itself a mount namespace of its own later: what that shows names nothing.
  [[nodiscard]] int root() const { return root_.get(); }
  // Its user namespace as it was at the beginning, an inode number; 0 when that can't be told.
  [[nodiscard]] std::uint64_t user_namespace() const { return user_namespace_; }
  // Readable once the process has ended; -1 where that can only be seen in /proc.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }
  // What happened to it, in a few words, or nullopt while it lives.
  [[nodiscard]] std::optional<std::string> ended() const;

  // Takes the process of that number for its own. It stays as it is on an error: as open().
  [[nodiscard]] Result<void> adopt(int proc_root, pid_t pid);
  // When the pidfile that named it was written, in nanoseconds since 1970; 0 for other kinds.
  [[nodiscard]] std::int64_t named_at() const { return named_at_; }
  void set_named_at(std::int64_t when) { named_at_ = when; }
  // Why there is no process, for ended().
  void set_missing(std::string why) { missing_ = std::move(why); }
  // Clock ticks since boot.
  [[nodiscard]] std::uint64_t start_time() const { return start_time_; }

 private:
  SandboxSpec spec_;
  std::string missing_ = "no such process yet";
  pid_t pid_ = 0;
  std::uint64_t start_time_ = 0;
  std::int64_t named_at_ = 0;
  std::uint64_t user_namespace_ = 0;
  net::UniqueFd directory_, root_, pidfd_;
};

}  // namespace warder::identity
