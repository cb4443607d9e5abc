#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/result.h"

namespace warder::bench {

struct Run {
  double seconds = 0;
  double cpu_seconds = 0;
  std::uint64_t peak_rss_bytes = 0;
  std::uint64_t lines = 0;  // of its output
};

// Runs a program to its end, its output into the file `out`. Errors: system; closed_by_peer, when
// it ended with anything but 0.
[[nodiscard]] Result<Run> run_to_end(const std::vector<std::string>& command,
                                     const std::string& out);

}  // namespace warder::bench
