#pragma once

#include "net/address.h"
#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::identity {

// Tells which addresses belong to the network namespace of the caller.
class LocalAddresses {
 public:
  virtual ~LocalAddresses() = default;
  [[nodiscard]] virtual Result<bool> contains(const net::IpAddress& address) = 0;
};

// Asks the kernel's routing (rtnetlink(7), RTM_GETROUTE): an address is local when its route is of
// type RTN_LOCAL, whatever the interface or prefix. Belongs to one thread.
class RouteLookup final : public LocalAddresses {
 public:
  [[nodiscard]] Result<bool> contains(const net::IpAddress& address) override;

 private:
  net::UniqueFd socket_;  // opened when first needed
};

}  // namespace warder::identity
