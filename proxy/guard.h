#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/result.h"

namespace warder::proxy {

struct GuardOptions {
  bool allow_loopback = false;  // loopback and local addresses become like private ones
  std::vector<net::IpRange> always_blocked;  // added to the built-in ones
  std::vector<net::Endpoint> own_listeners;  // the proxy's and OPA's: never, whatever is allowed
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
  // `allowed`. IPv4-mapped, NAT64, 6to4 and Teredo addresses are judged by the IPv4 address inside.
  [[nodiscard]] std::string objection(const net::IpAddress& address, std::uint16_t port,
                                      const std::vector<net::IpRange>& allowed) const;

 private:
  GuardOptions options_;
};

}  // namespace warder::proxy
