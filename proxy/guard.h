#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/result.h"
#include "net/route.h"
#include "proxy/opa_addresses.h"
#include "proxy/special_addresses.h"

namespace warder::proxy {

struct GuardOptions {
  bool allow_loopback = false;  // loopback and local addresses become like private ones
  std::vector<net::IpRange> always_blocked;  // added to the built-in ones
  std::vector<net::Endpoint> own_listeners;  // the proxy's and OPA's: never, whatever is allowed
  // OPA's, where its URL has a name; outlives the guard. nullptr: none.
  const OpaAddresses* opa = nullptr;
  // How the kernel routes an address.
  std::function<Result<net::RouteKind>(const net::IpAddress&)> route = net::route_kind;
};

// Judges the addresses a name resolved to. Pure but for asking the kernel which addresses are
// local.
class AddressGuard {
 public:
  explicit AddressGuard(GuardOptions options);

  // What is wrong with dialling `address`:`port`, in one sentence ("10.1.2.3 is a private address
  // and not in the policy's allowed_ips"); empty when nothing is. Always blocked: loopback,
  // link-local, metadata, unspecified, multicast, broadcast, 240/4, and every address that routes
  // to this host (RTN_LOCAL). Other special-purpose addresses (IANA registries) only within
  // `allowed`. IPv4-mapped, NAT64, 6to4 and Teredo addresses are judged by the IPv4 address inside;
  // those of local-use NAT64, ISATAP and Teredo's server by what they are and what may be inside.
  [[nodiscard]] std::string objection(const net::IpAddress& address, std::uint16_t port,
                                      const std::vector<net::IpRange>& allowed) const;

 private:
  struct Target {
    const net::IpAddress& address;
    const net::IpAddress& leads_to;  // the same, or an IPv4 address inside
    std::uint16_t port;
  };
  [[nodiscard]] AddressKind kind_here(const net::IpAddress& address) const;
  [[nodiscard]] std::string judge(const Target& target,
                                  const std::vector<net::IpRange>& allowed) const;

  GuardOptions options_;
};

}  // namespace warder::proxy
