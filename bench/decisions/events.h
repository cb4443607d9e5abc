#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "net/result.h"

namespace warder::bench {

// The decisions among the lines of OPA's log, without Warder's probes.
[[nodiscard]] std::vector<std::string> decisions_in(const std::string& log);

// Writes `count` lines: `lines` over and over, each with ids and a time of its own. The decision id
// of the one in the middle. Errors: system.
[[nodiscard]] Result<std::string> repeat(const std::vector<std::string>& lines, std::size_t count,
                                         const std::string& path);

}  // namespace warder::bench
