#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "identity/abilities.h"
#include "identity/policy_paths.h"
#include "identity/resolver.h"
#include "identity/sandbox_spec.h"
#include "net/address.h"
#include "net/result.h"

namespace warder::identity {

struct HostResolverOptions {
  std::string proc_root = "/proc";
  std::vector<SandboxSpec> sandboxes;  // per-PID scopes, in order
  // What a client's socket may show as its remote end instead of the proxy's address: a DNAT in the
  // client's own namespace leaves no trace at the proxy.
  std::vector<net::Endpoint> listener_aliases;
  std::size_t max_waiting = 4096;            // lookups queued; above: lookup_failed at once
  std::chrono::milliseconds deadline{5000};  // of one lookup, queueing included
  bool discover = false;                     // look in network namespaces seen in /proc too
  // Discovered namespaces count even when a user namespace below ours owns them.
  bool discover_user_namespaces = false;
  enum class Lookup {
    automatic,  // the best that kernel and privileges allow
    procfs,     // nothing but procfs
  };
  Lookup lookup = Lookup::automatic;
  bool command_line = false;  // read it
  // Looked up for each caller; outlives the resolver. nullptr: there are none.
  const PolicyPaths* policy_paths = nullptr;
  struct Hash {
    bool enabled = true;
    std::size_t max_bytes = std::size_t{1} << 30;  // of an image; above: no sha256
    std::chrono::milliseconds timeout{3000};       // of one image
  } hash;
  // Called with each step as it is taken, on the thread that looks. Empty: no steps are told.
  std::function<void(std::string_view step)> trace;
};

struct HostResolver {
  std::unique_ptr<Resolver> resolver;
  Abilities abilities;  // as found at start
};

// The resolver of this host: per-PID scopes, then the global one, then discovered ones; sock_diag
// or the procfs tables; the kernel's own records or a walk of /proc/<pid>/fd. Where the kernel
// tells all in a few microseconds, on the thread of the lookup's loop; else one thread of its own
// looks, once for all lookups that were waiting when it began.
[[nodiscard]] Result<HostResolver> make_host_resolver(HostResolverOptions options);

}  // namespace warder::identity
