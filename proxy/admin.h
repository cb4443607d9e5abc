#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/result.h"
#include "proxy/config.h"
#include "proxy/metrics.h"

namespace warder::proxy {

// One thing that readiness depends on.
struct Check {
  std::string name;
  bool ok = false;
  bool required = true;  // otherwise a warning: shown, but ready all the same
  std::string detail;
};

// `/healthz` (200 while the process lives), `/readyz` (200 or 503, with every check) and
// `/metrics`, on threads of its own. Destroying it stops listening, removes the socket's file, and
// waits for requests under way, but not longer than two seconds.
class AdminServer {
 public:
  virtual ~AdminServer() = default;
  // Where it listens: "127.0.0.1:3129" (the real port, also when 0 was asked for) or "unix:/path".
  [[nodiscard]] virtual std::string address() const = 0;
};

// `readiness` is called on the server's threads, one call at a time, and never once the server is
// destroyed; `metrics` must outlive the server. A unix socket gets mode 0600; one that is left over
// from a process that has ended is replaced. Errors: bad_config for an address that is not
// loopback; from the system when it can't be bound, or something else is there.
[[nodiscard]] Result<std::unique_ptr<AdminServer>> make_admin(
    const AdminAddress& address, std::function<std::vector<Check>()> readiness,
    const Metrics& metrics);

}  // namespace warder::proxy
