#pragma once

#include "net/address.h"
#include "net/result.h"

namespace warder::identity {

// Tells which addresses belong to the network namespace of the caller.
class LocalAddresses {
 public:
  virtual ~LocalAddresses() = default;
  [[nodiscard]] virtual Result<bool> contains(const net::IpAddress& address) = 0;
};

// Asks the kernel's routing: an address is local when its route is, whatever the interface or
// prefix.
class RouteLookup final : public LocalAddresses {
 public:
  [[nodiscard]] Result<bool> contains(const net::IpAddress& address) override;
};

}  // namespace warder::identity
