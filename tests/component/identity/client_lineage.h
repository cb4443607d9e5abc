#pragma once

#include <string>

namespace warder::testing {

// What the client program does to seem to descend from others than it does, or to run another
// program. Each returns whether it worked, with errno set.

// A shell starts `program`, which holds `fd`, and ends: another process is its parent then.
bool leave_orphan(const std::string& program, int fd);

// `program`, which holds `fd`, becomes a child of our own parent: clone(2), CLONE_PARENT.
bool make_sibling(const std::string& program, int fd);

// In a user namespace of our own, /proc/self/exe comes to show `program`: prctl(2),
// PR_SET_MM_MAP. The code that runs is what it was.
bool set_image(const std::string& program);

}  // namespace warder::testing
