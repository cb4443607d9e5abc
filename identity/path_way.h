#pragma once

#include <string>
#include <vector>

#include "identity/file_state.h"
#include "net/result.h"

namespace warder::identity {

// How a path leads to a file below a root directory, by which symbolic links.
struct PathWay {
  struct Link {
    std::string at;  // its own path: no links, no dots
    std::string target;
    FileState state;
  };
  std::vector<Link> links;  // in the order in which they are followed
  std::string file;         // the path of what is found in the end, without links and dots
  FileState state;          // of that
};

// Follows `path` as a process with that root would: what leads out of it stays in it. The answer is
// what was there, component by component; whoever has to be sure asks the kernel for the whole.
// May wait for a file system. Errors: not_found (also where a component is not a directory),
// not_permitted, system: more than 40 links (ELOOP), …; the detail is the component.
[[nodiscard]] Result<PathWay> follow_path(int root, const std::string& path);

}  // namespace warder::identity
