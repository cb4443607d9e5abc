#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace warder::identity {

// Who owns a connection, as far as it could be found out, with what is missing said plainly. Values
// only: paths are the kernel's raw bytes and are escaped where they are shown.

// (device, inode) of a file as stat(2) gives them.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  friend auto operator<=>(const FileId&, const FileId&) = default;
};

// A process that holds the connection.
struct Process {
  pid_t pid = 0;
  uid_t uid = 0;
  std::uint64_t start_time = 0;  // clock ticks since boot (proc(5), stat field 22)
  // The name a policy may rely on: `path` where, under a trusted root, it is the running image.
  std::optional<std::string> binary;
  std::string path;  // what /proc/<pid>/exe says, one kernel-added " (deleted)" stripped
  bool deleted = false;
  FileId image;  // what runs
  // Paths of the parents' images, nearest first.
  std::vector<std::string> ancestors;
  bool ancestors_complete = true;  // false where one could not be read, or the limit was reached
  friend bool operator==(const Process&, const Process&) = default;
};

enum class Grade { exact, shared, ambiguous, unresolved };
enum class Assurance { proven, observed, suspect };

// What speaks against taking the identity at face value. The text (`name`) is part of the outside.
enum class Cause { alien_path, image_replaced, unreadable_processes };

// Why there is no owner. The text (`name`) is part of the outside.
enum class Reason {
  socket_not_found,  // in no scope
  client_gone,       // the socket is there but belongs to nobody any more
  owner_not_found,   // a socket, but no process that holds it
  owner_unreadable,  // a socket, no holder seen, and processes that could not be looked into
  process_gone,      // the holder ended while it was looked at
  raced,             // socket, holders or image kept changing
  table_unreadable,  // a scope's table could not be read, and no other had the socket
  lookup_failed,     // no lookup was made (queue full, service stopping, deadline)
};

// Where a socket was looked for.
struct Scope {
  enum class Kind { pid, global };
  Kind kind = Kind::global;
  pid_t pid = 0;                           // of the sandbox, for Kind::pid
  [[nodiscard]] std::string name() const;  // "pid:469" or "global"
};

// What one scope gave, for the explanation.
struct ScopeResult {
  Scope scope;
  std::string
      outcome;  // "inode 4711", "no entry in 120 rows", "not readable: Permission denied", …
};

struct Identity {
  Grade grade = Grade::unresolved;
  Assurance assurance = Assurance::observed;
  std::vector<Cause> causes;     // in the order of the enumeration, without repeats
  std::optional<Reason> reason;  // set exactly when `grade` is unresolved
  // One sentence: the scopes searched and what each gave, what was missing (capability, namespace,
  // process gone), which check was not possible.
  std::string detail;
  std::optional<Scope> scope;  // the first, in order, that had the socket
  std::string method = "procfs";
  std::uint64_t inode = 0;  // of the socket; 0 when none was found
  std::vector<ScopeResult> searched;
  std::vector<Process> processes;  // every holder, by pid

  // The one name a policy may rely on: set when every holder runs the same executable and that has
  // a trusted name. nullptr otherwise. Lives as long as this object.
  [[nodiscard]] const std::string* binary() const;
};

[[nodiscard]] std::string_view name(Grade grade);
[[nodiscard]] std::string_view name(Assurance assurance);
[[nodiscard]] std::string_view name(Cause cause);
[[nodiscard]] std::string_view name(Reason reason);

}  // namespace warder::identity
