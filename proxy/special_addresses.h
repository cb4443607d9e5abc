#pragma once

#include <optional>
#include <string_view>

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

}  // namespace warder::proxy
