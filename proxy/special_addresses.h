#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace warder::proxy {

enum class AddressClass {
  global,    // anybody's, on the public internet
  loopback,  // this host
  special,   // private, documentation, benchmarking, …: only where a policy names it
  blocked,   // never dialled
};

// What an address is by its number alone, after the IANA special-purpose address registries.
struct AddressKind {
  AddressClass of_class = AddressClass::global;
  std::string_view name;  // "a private address"; empty for global
};
[[nodiscard]] AddressKind classify(const net::IpAddress& address);

// The IPv4 address to which an IPv6 address leads: IPv4-mapped, -compatible and -translated, NAT64
// (RFC 6052, well-known prefix), 6to4 (RFC 3056), Teredo (RFC 4380, the client). nullopt for
// others.
[[nodiscard]] std::optional<net::IpAddress> embedded_ipv4(const net::IpAddress& address);

// IPv4 addresses to which an IPv6 address may lead as well, while it is also what it is: those that
// local-use NAT64 (RFC 8215) could read in it, since the length of the network's prefix is not to
// be seen (RFC 6052 section 2.2); that of ISATAP (RFC 5214 section 6.1); Teredo's server. None of
// 0.0.0.0/8.
[[nodiscard]] std::vector<net::IpAddress> possible_ipv4(const net::IpAddress& address);

}  // namespace warder::proxy
