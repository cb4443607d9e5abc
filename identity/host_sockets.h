#pragma once

#include <memory>
#include <vector>

#include "identity/abilities.h"
#include "identity/effort.h"
#include "identity/host_resolver.h"
#include "identity/local_address.h"
#include "identity/namespace_scan.h"
#include "identity/network_namespace.h"
#include "identity/sandbox.h"
#include "identity/socket_finder.h"

namespace warder::identity {

// The way to find sockets on this host, chosen when it is made, and what it stands on. Belongs to
// one thread at a time, which is in our own network namespace whenever this is not being called.
class HostSockets final : public SocketFinder {
 public:
  // All but `options` outlive this. `proc_root` is an open directory.
  HostSockets(int proc_root, const std::vector<Sandbox>& sandboxes,
              const std::vector<net::Endpoint>& aliases, const HostResolverOptions& options,
              Effort& effort);

  [[nodiscard]] std::vector<Sighting> find(std::span<const Connection> connections) override {
    return finder_->find(connections);
  }
  // `sock_diag` and `enter_namespaces`, as they were found at the beginning by doing each once;
  // none of them where only procfs is wanted.
  [[nodiscard]] const Abilities& abilities() const { return abilities_; }
  // Whether it can look at once (Effort).
  [[nodiscard]] bool quick() const { return quick_; }

 private:
  RouteLookup local_;
  std::unique_ptr<NamespaceScan> scan_;
  std::unique_ptr<EnteredNamespaces> views_;
  std::unique_ptr<SocketFinder> finder_;
  Abilities abilities_;
  bool quick_ = false;
};

}  // namespace warder::identity
