#pragma once

#include <sys/types.h>

#include <string>

namespace warder::identity {

// How a sandbox is named. Its process is found again after a restart for every kind but `pid`.
struct SandboxSpec {
  enum class Kind {
    pid,        // that process; when it ends the scope says so
    pidfile,    // the process whose number the file holds
    cgroup,     // the oldest process of a cgroup: a path below the hierarchy's root, "/a/b"
    container,  // the oldest process whose cgroup path names that container id (or 12 digits of it)
  };
  Kind kind = Kind::pid;
  pid_t pid = 0;      // Kind::pid
  std::string value;  // the others
  friend bool operator==(const SandboxSpec&, const SandboxSpec&) = default;
};

// "pid:469", "pidfile:/run/sandbox.pid", "cgroup:/a/b", "container:4f5a…"
[[nodiscard]] std::string text(const SandboxSpec& spec);

}  // namespace warder::identity
