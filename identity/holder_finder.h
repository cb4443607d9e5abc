#pragma once

#include <sys/types.h>

#include <cstdint>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace warder::identity {

// A process that has a descriptor of a socket, and one of its threads that shows it: after the
// leader has exited, or after unshare(CLONE_FILES), only some threads do.
struct Holder {
  pid_t pid = 0;
  pid_t thread = 0;
  friend bool operator==(const Holder&, const Holder&) = default;
  friend bool operator<(const Holder& a, const Holder& b) {
    return a.pid != b.pid ? a.pid < b.pid : a.thread < b.thread;
  }
};

struct HolderScan {
  // One entry a process, by pid ascending.
  std::unordered_map<std::uint64_t, std::vector<Holder>> by_inode;
  // Processes that could not be looked into, or not wholly: each may be a holder.
  std::size_t unreadable = 0;
  pid_t one_unreadable = 0;  // one of them, or 0 when none has a number
};

// Finds the processes that hold sockets.
class HolderFinder {
 public:
  virtual ~HolderFinder() = default;
  // One pass over all processes. May block.
  [[nodiscard]] virtual HolderScan find(const std::unordered_set<std::uint64_t>& inodes) = 0;
  // Whether that thread still shows a descriptor of the socket.
  [[nodiscard]] virtual bool still_holds(const Holder& holder, std::uint64_t inode) = 0;
};

}  // namespace warder::identity
