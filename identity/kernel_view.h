#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "net/address.h"
#include "net/result.h"

namespace warder::identity {

// What the kernel itself says of tasks and sockets, where it can be asked by BPF.

// A running image in the kernel's own terms (super_block::s_dev, i_ino, i_generation). Only for
// comparing one with another: stat(2) gives other numbers on overlayfs and btrfs.
struct KernelImage {
  std::uint32_t device = 0;
  std::uint32_t generation = 0;
  std::uint64_t inode = 0;
  friend auto operator<=>(const KernelImage&, const KernelImage&) = default;
};

// Which process, running what. Two equal ones are the same process between the same two calls of
// execve(2): a number is reused with another start, and `executions` counts with every exec.
struct KernelTask {
  pid_t pid = 0;                 // in our PID namespace; 0: it has no number there
  std::uint64_t start_ns = 0;    // group_leader->start_boottime
  std::uint64_t executions = 0;  // self_exec_id: inherited by fork, one more with each exec
  KernelImage image;             // mm->exe_file; all zero when there is none any more
  friend bool operator==(const KernelTask&, const KernelTask&) = default;
};

// What a pass tells of a process beside that; the same instant as its KernelTask.
struct KernelFacts {
  uid_t uid = 0;  // effective, in the initial user namespace's numbers
  gid_t gid = 0;
  std::uint32_t user_namespace = 0;   // inode number, as in /proc/<pid>/ns/user
  bool traced = false;                // any of its threads that the pass visited
  std::vector<KernelTask> ancestors;  // nearest first
  // No other program can have been in between, up to the first process of its PID namespace
  // (identity/process_facts.h).
  bool ancestors_complete = true;
  friend bool operator==(const KernelFacts&, const KernelFacts&) = default;
};

// Who called connect(2).
struct Connector {
  KernelTask task;
  uid_t uid = 0;
};

// One descriptor of a wanted socket. Several threads or processes may show the same one.
struct HeldDescriptor {
  std::size_t task = 0;  // index into SocketPass::tasks
  pid_t thread = 0;      // that shows it, in our PID namespace; 0: it has no number there
  int descriptor = 0;
  std::uint64_t inode = 0;  // of the socket
  // The descriptor table it is in; only for telling one from another.
  std::uint64_t table = 0;
  // References to the open file from anywhere, without the pass's own.
  std::uint64_t references = 0;
  // How many of them are system calls that wait on the socket, made by threads with this table:
  // poll(2) or select(2), or, where threads share it, a blocked read or write. The socket's own
  // wait queue says so: nothing here is read from the memory of a process.
  std::uint32_t waiting = 0;
  // `references` and `waiting` are of one instant. Where not, look again.
  bool steady = true;
  // False where the pass had looked at so many waiting calls already that it did not count these.
  // Of fewer sockets it would have.
  bool waiting_known = true;
};

// Another TCP socket of a process, for telling relays.
struct OtherSocket {
  std::uint64_t inode = 0;
  std::uint64_t cookie = 0;  // 0: it never had one, so no connect of it was recorded
  int state = 0;             // TCP_ESTABLISHED, TCP_LISTEN, …
  net::Endpoint local, remote;
};

struct SocketPass {
  struct Task {
    KernelTask task;
    KernelFacts facts;
    friend bool operator==(const Task&, const Task&) = default;
  };
  std::vector<Task> tasks;
  std::vector<HeldDescriptor> held;
  std::vector<OtherSocket> others;  // of a pass that asked for them
  bool others_complete = true;      // false where the limit was reached
};

// What a pass goes over, and what it tells.
struct PassScope {
  pid_t pid = 0;  // one process, in our PID namespace; 0: all
  // The other TCP sockets of that one process too.
  bool others = false;
  // Of all files, wanted or not, that are looked at. One more is an error (overloaded). 0: no
  // limit.
  std::uint32_t most_descriptors = 0;
};

// Belongs to one thread at a time.
class KernelView {
 public:
  static constexpr std::size_t kMostSockets = 4096;  // of one pass

  virtual ~KernelView() = default;

  // nullopt: the connection is older than the record, or the record has been displaced, or the
  // kernel itself connected. Errors: system.
  [[nodiscard]] virtual Result<std::optional<Connector>> connector(std::uint64_t cookie) = 0;

  // Every descriptor of `inodes` in the tables of all threads of the processes. A process that is
  // gone holds nothing. Errors: overloaded, for a pass that tells or goes over too much, or wants
  // more than kMostSockets; system.
  [[nodiscard]] virtual Result<SocketPass> pass(std::span<const std::uint64_t> inodes,
                                                const PassScope& scope) = 0;
};

}  // namespace warder::identity
