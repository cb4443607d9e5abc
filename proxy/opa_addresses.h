#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "net/address.h"
#include "net/lookup.h"

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

// Resolves by `names`, and tells `addresses` of what is found before the caller learns of it. Both
// outlive it.
[[nodiscard]] std::unique_ptr<net::NameResolver> watched(net::NameResolver& names,
                                                         OpaAddresses& addresses,
                                                         std::uint16_t port);

}  // namespace warder::proxy
