#pragma once

#include <string>
#include <vector>

#include "proxy/policy_source.h"

namespace warder::proxy {

// Fills in file and line of the problems that name a key of a YAML or JSON file below `directory`:
// the line of the key's value, or of what should hold the key. Where a problem has a file, it
// stays. OPA puts DIR/a/b.yaml at data.a. The first hundred problems; files of at most 16 MiB. What
// can't be read is left out.
void locate(const std::string& directory, std::vector<PolicyProblem>& problems);

// Of those files, an error for each key that stands twice in one mapping (OPA takes the last one
// and says nothing), and a warning for each `network_policies` that is not where the policy package
// looks for it. A key of `data` itself that the package doesn't read is a warning too (a directory
// is such a key, and named once), and an error where it looks like one that it reads.
[[nodiscard]] std::vector<PolicyProblem> wrong_keys(const std::string& directory);

// The parts of an RFC 6901 pointer without its first slash.
[[nodiscard]] std::vector<std::string> pointer_parts(const std::string& pointer);

}  // namespace warder::proxy
