#pragma once

#include <sys/types.h>

#include <string>

#include "identity/proc_files.h"

namespace warder::identity {

// Whether a process could change what a program's path stands for.

// Of a file or directory.
struct Permissions {
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};

// Whether a process with these credentials may write to it, or may give itself the right to: an
// owner may, whatever the mode says. Every user and group id counts that it may take on, so real,
// effective, saved and supplementary ones. `capable`: its capabilities count for this file.
// Access lists, file attributes and security modules are not looked at.
[[nodiscard]] bool may_write(const Permissions& file, const ProcStatus& credentials, bool capable);

// Whether it may put another entry into the place of one in `directory`: write permission, and in
// a directory with the sticky bit it must own that or the entry.
[[nodiscard]] bool may_replace(const Permissions& directory, const Permissions& entry,
                               const ProcStatus& credentials, bool capable);

// Whether the process may write to the file that `path` names below the directory `root`, or put
// another into its place by a rename in any directory from there up to `root`. What is mounted
// read-only can't be changed; for a process with the capability to override permissions
// (container root as a rule) everything else can. True when it can't be found out.
[[nodiscard]] bool may_change_path(int root, const std::string& path, const ProcStatus& credentials,
                                   bool capable);

// Whether it may put something else into the place of the symbolic link that `path` names, without
// links above it, there or in a directory above.
[[nodiscard]] bool may_change_link(int root, const std::string& path, const ProcStatus& credentials,
                                   bool capable);

// The same of a file alone, links followed: what /proc/<pid>/exe leads to.
[[nodiscard]] bool may_change_file(int at, const std::string& path, const ProcStatus& credentials,
                                   bool capable);

}  // namespace warder::identity
