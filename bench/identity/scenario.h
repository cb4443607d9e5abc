#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "load.h"

namespace warder::bench {

// One row of the comparison: what is varied, and to what.
struct Scenario {
  std::string axis;
  std::string value;
  LoadTarget load;
  std::size_t waiting = 1;     // lookups begun together, each of another client
  std::string wait = "pause";  // what the clients are doing
};

[[nodiscard]] std::vector<Scenario> scenarios();

// The axes over which a lookup should be flat, in the order of scenarios().
[[nodiscard]] const std::vector<std::string>& axes();

}  // namespace warder::bench
