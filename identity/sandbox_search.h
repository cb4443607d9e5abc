#pragma once

#include <string>

#include "identity/sandbox.h"
#include "identity/sandbox_spec.h"
#include "net/result.h"

namespace warder::identity {

// Where sandboxes are looked for.
struct SandboxPlaces {
  int proc_root = -1;  // an open directory
  // Version 2 of cgroups, or a directory with the hierarchies of version 1.
  std::string cgroup_root = "/sys/fs/cgroup";
};

// Whether the value has the form of its kind: an absolute path, a path of cgroups without "..", 12
// to 64 lower-case hexadecimal digits. Errors: bad_config.
[[nodiscard]] Result<void> check(const SandboxSpec& spec);

// The process that stands for the sandbox now. A process that is not what the spec names, such as
// one that got its number later, is never taken:
// - pidfile: the file holds a number and nothing else, and the process was there when the file was
//   last written.
// - cgroup: the oldest in the cgroup or one below it.
// - container: the oldest whose cgroup's path names that container first. Whoever may make cgroups
//   can make one of that name elsewhere, so two different ones are an error.
// Errors: not_found: no such process, and why; others as of Sandbox::open.
[[nodiscard]] Result<Sandbox> find_sandbox(const SandboxPlaces& places, const SandboxSpec& spec);

}  // namespace warder::identity
