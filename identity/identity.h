#pragma once

#include <sys/types.h>

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

// What a process has to do with the connection.
enum class Role { connector, holder };

// In place of a path that proves nothing. No policy can name it: its paths begin with a slash.
constexpr std::string_view kForeignPath = "?";

// A process that holds the connection, or that opened it.
struct Process {
  pid_t pid = 0;
  uid_t uid = 0;  // effective, as the gid
  gid_t gid = 0;
  std::vector<Role> roles;
  std::uint64_t start_time = 0;  // clock ticks since boot (proc(5), stat field 22)
  // The name a policy may rely on: `path` where, under a trusted root, it is the running image.
  std::optional<std::string> binary;
  std::string path;  // what /proc/<pid>/exe says, one kernel-added " (deleted)" stripped
  // Those of the policy's paths (identity/policy_paths.h) that, under the root that gave `binary`,
  // are the running image too, links followed. As the policy writes them, in its order. None
  // without a `binary`.
  std::vector<std::string> names;
  std::uint64_t names_of = 0;  // the generation of that list; 0: there was none
  bool deleted = false;
  FileId image;                  // what runs
  std::uint64_t executions = 0;  // one more with each execve(2); 0 where the kernel was not asked
  std::optional<std::string> sha256;     // of the running image, lower-case hexadecimal
  std::string sha256_missing;            // why there is none
  std::optional<std::string> container;  // its id, from the cgroup's path
  std::optional<std::string> pod;        // the pod's uid, likewise
  // The process itself could write to its image, or rename another file into its place.
  bool image_writable = false;
  bool traced = false;  // by ptrace(2), at this moment
  // It lives in a user namespace that nobody configured, and may set its image by prctl(2) there.
  bool image_settable = false;
  // A claim of the process's, its first 4096 bytes with a blank between arguments; only where
  // configured.
  std::optional<std::string> command_line;
  // Paths of the parents' images, nearest first. kForeignPath for one that may have put any file at
  // any path.
  std::vector<std::string> ancestors;
  // No other program was in between, up to the first process of its PID namespace, as far as the
  // kernel's own counts prove it; false when they don't, or weren't asked.
  bool ancestors_complete = true;
  friend bool operator==(const Process&, const Process&) = default;
};

enum class Grade { exact, shared, ambiguous, unresolved };
enum class Assurance { proven, observed, suspect };

// What speaks against taking the identity at face value. The text (`name`) is part of the outside.
enum class Cause {
  // With any of these the assurance is `suspect`.
  hidden_holder,    // a reference to the socket that no descriptor or waiting call accounts for
  image_changed,    // the process that connected has executed a program since
  image_exchanged,  // its image was set by prctl(2), not by execve(2), or could have been
  alien_path,
  image_replaced,
  traced,
  // With these it is at most `observed`.
  connector_unknown,     // who connected was not recorded
  references_uncounted,  // whether anybody holds it out of sight could not be found out
  unreadable_processes,
};

// Why there is no owner. The text (`name`) is part of the outside.
enum class Reason {
  socket_not_found,    // in no scope
  client_gone,         // the socket is there but belongs to nobody any more
  owner_not_found,     // a socket, but no process that holds it
  owner_unreadable,    // a socket, no holder seen, and processes that could not be looked into
  process_gone,        // the holder ended while it was looked at
  raced,               // socket, holders or image kept changing
  table_unreadable,    // a scope's table could not be read, and no other had the socket
  address_translated,  // the client dialled another address, and nobody knows which
  lookup_failed,       // no lookup was made (queue full, service stopping, deadline)
};

// Where a socket was looked for.
struct Scope {
  enum class Kind {
    pid,         // the network namespace of a sandbox
    global,      // our own
    discovered,  // another one that was seen in /proc
  };
  Kind kind = Kind::global;
  pid_t pid = 0;       // of the sandbox's process, or of one that showed the namespace
  std::string source;  // of a sandbox that is not named by its pid: "container:4f5a…"
  std::uint64_t network_namespace = 0;  // inode number, of a discovered one; 0: of several
  // "pid:469", "container:4f5a…", "global", "netns:4026532008";
  // "discovered": all those that had nothing to say
  [[nodiscard]] std::string name() const;
  friend bool operator==(const Scope&, const Scope&) = default;
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
  std::vector<Process> processes;  // every holder, and the connector where it is another; by pid
  // A holder itself holds connections that other programs opened to it: it may speak for them.
  bool relays = false;
  bool via_complete = true;  // false where not all of those programs could be found
  std::vector<Process> via;  // those programs, by pid; only pid, uid, image and names are set

  // The one name a policy may rely on: set when every holder runs the same executable and that has
  // a trusted name, and nobody else can hold it out of sight. nullptr otherwise. Lives as long as
  // this object.
  [[nodiscard]] const std::string* binary() const;
  // The SHA-256 of that one executable, set also where it has no trusted name: what the file holds
  // doesn't depend on what it is called. nullptr otherwise. Lives as long as this object.
  [[nodiscard]] const std::string* sha256() const;
};

// Puts `program` into `via`. There is room for 64, of at most 64 KiB of paths: a question about
// the identity must not become too long to be asked. Above that `via` is not complete.
void add_behind(Process program, Identity& identity);

[[nodiscard]] std::string_view name(Grade grade);
[[nodiscard]] std::string_view name(Assurance assurance);
[[nodiscard]] std::string_view name(Cause cause);
[[nodiscard]] std::string_view name(Reason reason);
[[nodiscard]] std::string_view name(Role role);
// What a cause leaves of the assurance, at best.
[[nodiscard]] Assurance at_best(Cause cause);

}  // namespace warder::identity
