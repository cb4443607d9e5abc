#pragma once

#include <cstdio>
#include <cstdlib>

namespace warder::net {

// Aborts, in every build, on what only a mistake in this program or the lack of memory can cause.
// Never for anything that a peer or a configuration decides.
inline void check(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "warder: internal error: %s\n", what);
  std::abort();
}

}  // namespace warder::net
