#pragma once

#include "net/address.h"
#include "net/result.h"

namespace warder::net {

// Where this network namespace would send a packet for an address.
enum class RouteKind {
  remote,     // out, or nowhere
  local,      // to this host: RTN_LOCAL or RTN_ANYCAST
  broadcast,  // RTN_BROADCAST or RTN_MULTICAST
};

// Asks the kernel now (rtnetlink(7), RTM_GETROUTE; without it the addresses of the interfaces).
// Errors: system, out_of_descriptors, when neither could be asked.
[[nodiscard]] Result<RouteKind> route_kind(const IpAddress& address);

}  // namespace warder::net
