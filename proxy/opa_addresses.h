#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "net/address.h"
#include "net/lookup.h"
#include "opa-client/client.h"

namespace warder::proxy {

// Where the policy server was found to listen, when its URL has a name: nobody may be tunnelled
// there. What was found stays; above 256 addresses the oldest goes. Any thread.
class OpaAddresses {
 public:
  void found(const std::vector<net::IpAddress>& addresses, std::uint16_t port);
  [[nodiscard]] bool contain(const net::IpAddress& address, std::uint16_t port) const;

 private:
  mutable std::mutex mutex_;
  std::vector<net::Endpoint> found_;  // unmapped, the oldest first
};

// Has a client with `options` look up OPA's name, if it has one, by `names`, which tells
// `addresses` of what is found before the client learns of it. Both outlive what is returned, and
// that outlives the client.
[[nodiscard]] std::unique_ptr<net::NameResolver> find_opa_by(net::NameResolver& names,
                                                             OpaAddresses& addresses,
                                                             opa::ClientOptions& options);

}  // namespace warder::proxy
