#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "identity/kernel_view.h"
#include "identity/socket_finder.h"

namespace warder::identity {

// A process that has a descriptor of a socket, and one of its threads that shows it: after the
// leader has exited, or after unshare(CLONE_FILES), only some threads do.
struct Holder {
  pid_t pid = 0;
  pid_t thread = 0;
  // What the kernel said of it when it was seen; only where it can be asked.
  std::optional<SocketPass::Task> kernel;
  friend bool operator==(const Holder& a, const Holder& b) {
    return a.pid == b.pid && a.thread == b.thread;
  }
  friend bool operator<(const Holder& a, const Holder& b) {
    return a.pid != b.pid ? a.pid < b.pid : a.thread < b.thread;
  }
};

// Who has one socket, and how sure it is that nobody else has.
struct SocketHolders {
  enum class Proof {
    uncounted,  // its references could not be counted
    complete,   // every reference is a descriptor of `holders` or one of their waiting calls
    hidden,     // references are left over that nobody shows
    moving,     // the counts never stood still
  };
  std::vector<Holder> holders;  // one entry a process, by pid ascending
  Proof proof = Proof::uncounted;
  std::string account;           // for people: "3 references: 2 descriptors, 1 waiting call"
  bool connector_asked = false;  // whether there is a record of who connected
  std::optional<Connector> connector;
  // Connections that others may have opened to the holders: established, and no connect of the
  // holder's own is recorded for them. `accepted_known`: that could be found out for all holders.
  std::vector<OtherSocket> accepted;
  bool accepted_known = false;
};

struct HolderScan {
  std::unordered_map<std::uint64_t, SocketHolders> by_inode;
  // Processes that could not be looked into, or not wholly, where that matters: each may be a
  // holder. A complete proof needs none of them.
  std::size_t unreadable = 0;
  pid_t one_unreadable = 0;  // one of them, or 0 when none has a number
};

// Finds the processes that hold sockets. Belongs to one thread at a time.
class HolderFinder {
 public:
  // What was found of one socket; `who` outlives the call.
  struct Seen {
    FoundSocket socket;
    const SocketHolders* who = nullptr;
  };

  virtual ~HolderFinder() = default;
  // What can be done for all of them at once is. May block.
  [[nodiscard]] virtual HolderScan find(std::span<const FoundSocket> sockets) = 0;
  // For each, in order. nullopt: the same processes, between the same two calls of execve(2) where
  // the kernel can be asked, still hold it, and nobody else does as far as was known before.
  // Otherwise what changed. May block.
  [[nodiscard]] virtual std::vector<std::optional<std::string>> changed(
      std::span<const Seen> before) = 0;
  [[nodiscard]] std::optional<std::string> changed(const FoundSocket& socket,
                                                   const SocketHolders& before) {
    const Seen one{socket, &before};
    return std::move(changed({&one, 1}).front());
  }
};

}  // namespace warder::identity
