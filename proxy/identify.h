#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "identity/resolver.h"
#include "net/result.h"
#include "proxy/config.h"

namespace warder::proxy {

// `warder identify`: who owns one connection, and how that is found out.

struct IdentifyStep {
  std::chrono::microseconds at;  // since the lookup began
  std::string text;              // raw bytes
};

struct IdentifyReport {
  identity::Connection connection;
  identity::Identity identity;
  std::vector<IdentifyStep> steps;
  std::chrono::microseconds took{0};
};

// Looks once, with a resolver of its own. Blocks until it is done; bounded by identity.timeout.
// Errors: those of make_host_resolver().
[[nodiscard]] Result<IdentifyReport> identify(const Config& config,
                                              const identity::Connection& connection);

// For people: printable ASCII, several lines, the last one ended too.
[[nodiscard]] std::string as_text(const IdentifyReport& report);
// One JSON object in one line. `input` is the document that OPA would be asked with.
[[nodiscard]] std::string as_json(const IdentifyReport& report);

}  // namespace warder::proxy
