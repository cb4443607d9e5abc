#include "identity/local_address.h"

#include "net/route.h"

namespace warder::identity {

Result<bool> RouteLookup::contains(const net::IpAddress& address) {
  const Result<net::RouteKind> kind = net::route_kind(address.unmapped());
  if (!kind) return fail(kind.error());
  return *kind == net::RouteKind::local;
}

}  // namespace warder::identity
