#pragma once

#include <string>

#include "net/result.h"

namespace warder::bench {

struct GateSite {
  std::string warder, opa, policy;  // programs, and the folder of the policy package
  std::string directory;            // for configurations, sockets and logs
};

// Runs the gate with a real OPA in front of nothing, and asks it for `requests` tunnels, some of
// which the policy allows. OPA's decision log. Errors: of starting the two; timed_out.
[[nodiscard]] Result<std::string> log_of_gate(const GateSite& site, int requests);

}  // namespace warder::bench
