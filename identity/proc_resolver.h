#pragma once

#include <sys/types.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "identity/resolver.h"
#include "net/address.h"
#include "net/result.h"

namespace warder::identity {

struct ProcResolverOptions {
  std::string proc_root = "/proc";
  // Per-PID scopes in order; a pid that ends is a scope that says so, never another process with
  // the same number (its start time is remembered).
  std::vector<pid_t> sandboxes;
  // What a client's socket may show as its remote end instead of the proxy's address: a DNAT in the
  // client's own namespace leaves no trace at the proxy.
  std::vector<net::Endpoint> listener_aliases;
  std::size_t max_waiting = 4096;            // lookups queued; above: lookup_failed at once
  std::chrono::milliseconds deadline{5000};  // of one lookup, queueing included
};

// The dual-scope procfs resolver. One thread of its own reads the tables and walks the processes,
// once for all lookups that were waiting when the walk began.
[[nodiscard]] Result<std::unique_ptr<Resolver>> make_proc_resolver(ProcResolverOptions options);

}  // namespace warder::identity
