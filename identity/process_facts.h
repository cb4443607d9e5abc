#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "identity/effort.h"
#include "identity/holder_finder.h"
#include "identity/identity.h"
#include "identity/lru.h"
#include "identity/path_names.h"
#include "identity/policy_paths.h"
#include "identity/proc_files.h"
#include "identity/sandbox.h"
#include "identity/trusted_roots.h"
#include "net/result.h"

namespace warder::identity {

// What changes when a process number is reused (start time) or another program is executed (image).
struct Vitals {
  std::uint64_t start_time = 0;
  FileId image;
  friend bool operator==(const Vitals&, const Vitals&) = default;
};

// Tells what a process is. Errors: not_found when it has ended, not_permitted, system.
class ProcessFacts {
 public:
  virtual ~ProcessFacts() = default;
  [[nodiscard]] virtual Result<Vitals> vitals(const Holder& holder) = 0;
  // Everything but the trusted name: `path` is the kernel's text as it stands.
  [[nodiscard]] virtual Result<Process> read(const Holder& holder) = 0;
  // Sets `binary`, `deleted`, the final `path` and `names`, looking under the roots of the
  // sandboxes that are among `scopes` (all of them when none is), then under our own.
  virtual void give_name(Process& process, std::span<const Scope> scopes) = 0;
};

struct FactsOptions {
  bool command_line = false;                  // read it
  const PolicyPaths* policy_paths = nullptr;  // outlives the facts; nullptr: there are none
};

// From procfs, and from what the kernel said of a holder where it was asked. Belongs to one thread
// at a time. At once (Effort) only what is kept is told, and no path is looked up but in what the
// kernel has cached of the file system.
// What holds for one process between two calls of execve(2) (path, image, start time) is kept by
// its KernelTask, and give_name() still looks the path up each time; what may change without one
// (cgroup, groups, command line, permissions of the image) is kept for a second. A bounded number
// of processes is kept. Of a holder about which the kernel was not asked, everything is read each
// time.
//
// uid and gid are the effective ones.
//
// `ancestors`: every parent as it is now, by the kernel's path of its image; kForeignPath for one
// in a user namespace that is neither ours nor a sandbox's.
// `ancestors_complete` says that no other program can have been in between, up to the first process
// of its PID namespace. After the parent's end a process
// gets another parent and nothing in procfs shows it, and clone(2) with CLONE_PARENT leaves out the
// caller; only the kernel's counts of execve(2) tell (identity/bpf/pass.bpf.c). So by procfs alone
// only the first process itself has a complete list. Where a program was executed by another in the
// same process ("sh -c", "env"), that is one in between too.
class ProcProcessFacts final : public ProcessFacts {
 public:
  // All outlive this. `proc_root` is an open directory; our own root is self/root below it.
  ProcProcessFacts(int proc_root, const std::vector<Sandbox>& sandboxes, FactsOptions options = {},
                   Effort* effort = nullptr);

  // Of a holder that the kernel told about and read() has read: what was read then. Whether it is
  // still the same between two calls of execve(2) is for HolderFinder::changed().
  [[nodiscard]] Result<Vitals> vitals(const Holder& holder) override;
  [[nodiscard]] Result<Process> read(const Holder& holder) override;
  // `image_writable` too: whether the process itself could write to the file, or rename another
  // into its place (identity/image_access.h). Under the root that gives the name; of an image
  // without a name, the file alone. For container root it is true unless the file system is mounted
  // read-only: it says that the hash, not the name, is what tells the program.
  void give_name(Process& process, std::span<const Scope> scopes) override;

 private:
  using Clock = std::chrono::steady_clock;
  // What is known of a process.
  struct Known {
    KernelTask task;  // all zero when the kernel was not asked
    pid_t thread = 0;
    Process facts;
    pid_t parent = 0;
    std::uint64_t user_namespace = 0;
    ProcStatus credentials;
    Clock::time_point refreshed;  // what may change without execve(2)
    // Of facts.image_writable.
    std::optional<std::string> writable_name;
    Clock::time_point writable_read;
  };

  Result<Known*> look_up(const Holder& holder);
  [[nodiscard]] Result<Known> read_all(const Holder& holder) const;
  Result<void> read_unasked(int process, Known& known) const;
  Result<void> refresh(int process, Known& known) const;
  void read_ancestors(const Known& known, Process& process) const;
  void name_ancestors(const KernelFacts& kernel, Process& process);
  [[nodiscard]] const std::optional<std::string>& path_of(const KernelTask& task);
  [[nodiscard]] std::optional<std::string> read_path_of(const KernelTask& task) const;
  [[nodiscard]] bool trusts_paths_of(int process) const;
  [[nodiscard]] int give_binary(Process& process, const std::vector<int>& roots, Known* known);
  [[nodiscard]] bool writable(const Process& process, int root, Known& known);

  struct AncestorPath {
    std::optional<std::string> path;  // none: it could not be read, and may be tried again later
    Clock::time_point read;
  };
  struct TaskHash {
    std::size_t operator()(const KernelTask& task) const;
  };

  [[nodiscard]] std::optional<FileId> file_at(int root, const std::string& path);
  [[nodiscard]] int root_with(const std::vector<int>& roots, const std::string& path,
                              const FileId& image);
  [[nodiscard]] bool exists_in(const std::vector<int>& roots, const std::string& path);

  int proc_root_;
  FactsOptions options_;
  Effort* effort_;
  TrustedRoots roots_;
  std::optional<PathNames> names_;
  Lru<pid_t, Known> known_;
  Lru<KernelTask, AncestorPath, TaskHash> ancestor_paths_;
};

}  // namespace warder::identity
