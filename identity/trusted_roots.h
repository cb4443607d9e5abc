#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "identity/effort.h"
#include "identity/identity.h"
#include "identity/lru.h"
#include "identity/sandbox.h"
#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::identity {

// The directories under which a program's path is a name. Belongs to one thread at a time. At once
// (Effort) no namespace is entered or searched.
class TrustedRoots {
 public:
  // All outlive this. `proc_root` is an open directory; our own root is self/root below it.
  TrustedRoots(int proc_root, const std::vector<Sandbox>& sandboxes, Effort* effort = nullptr);

  // For a process whose socket is in `scopes`: the roots of the sandboxes among them (of all
  // sandboxes when there are only global ones), for a discovered one the root of the mount
  // namespace of PID 1 in the process's own PID namespace, and last our own. Descriptors good until
  // the next call.
  [[nodiscard]] std::vector<int> of(pid_t pid, std::span<const Scope> scopes);

  // Whether that user namespace (inode number) is ours or a living sandbox's.
  [[nodiscard]] bool knows_user_namespace(std::uint64_t inode) const;
  // Whether it is ours. False where user namespaces can't be told.
  [[nodiscard]] bool is_own_user_namespace(std::uint64_t inode) const {
    return inode != 0 && inode == own_user_namespace_;
  }
  // False on a kernel without them: then nobody is in another one.
  [[nodiscard]] bool user_namespaces() const { return own_user_namespace_ != 0; }

 private:
  struct Space {
    net::UniqueFd space;  // keeps its inode number from being used again
    Sandbox init;
    net::UniqueFd root;                 // of the mount namespace; none where it can't be entered
    std::uint64_t mount_namespace = 0;  // of init, at the beginning
  };
  [[nodiscard]] int discovered_root(pid_t pid);
  Space* space_of(int process);
  [[nodiscard]] std::optional<Space> open_space(int process, std::uint64_t inode) const;
  [[nodiscard]] pid_t find_init(int process, int space, std::uint64_t inode) const;
  [[nodiscard]] bool is_init(pid_t pid, std::uint64_t inode) const;

  int proc_root_;
  const std::vector<Sandbox>& sandboxes_;
  Effort* effort_;
  net::UniqueFd own_root_;
  std::uint64_t own_user_namespace_ = 0;
  Lru<std::uint64_t, Space> spaces_;  // by the inode number of a PID namespace
};

}  // namespace warder::identity
