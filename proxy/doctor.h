#pragma once

#include <string>
#include <vector>

#include "proxy/config.h"

namespace warder::proxy {

// `warder doctor`: tries once, on this host and with these privileges, everything that `warder run`
// with this configuration relies on.

enum class Health { ok, warning, failed };

struct Finding {
  Health health = Health::ok;
  std::string check;   // a fixed word: "capabilities", "opa", …
  std::string what;    // what was seen, raw bytes
  std::string remedy;  // what to change; empty where there is nothing to
};

// Blocks for a few seconds at most. Changes nothing, on this host or at OPA.
[[nodiscard]] std::vector<Finding> examine(const Config& config);

[[nodiscard]] Health worst(const std::vector<Finding>& findings);

// One line for each: ok, warn or FAIL, what, and what to do. Printable ASCII.
[[nodiscard]] std::string as_text(const std::vector<Finding>& findings);
// One JSON object in one line.
[[nodiscard]] std::string as_json(const std::vector<Finding>& findings);

}  // namespace warder::proxy
