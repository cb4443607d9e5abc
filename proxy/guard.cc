#include "proxy/guard.h"

#include <algorithm>
#include <utility>

#include "net/route.h"
#include "proxy/special_addresses.h"

namespace warder::proxy {
namespace {

bool within(const std::vector<net::IpRange>& ranges, const net::IpAddress& address) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&address](const net::IpRange& range) { return range.contains(address); });
}

bool is_unspecified(const net::IpAddress& address) {
  return address == net::IpAddress() || address == net::IpAddress::v6({});
}

AddressKind kind_here(const net::IpAddress& address) {
  const AddressKind kind = classify(address);
  if (kind.of_class == AddressClass::blocked || kind.of_class == AddressClass::loopback)
    return kind;
  const auto route = net::route_kind(address);
  if (!route) {
    return {AddressClass::blocked,
            "an address of which the kernel does not tell whether it is local"};
  }
  switch (*route) {
    case net::RouteKind::local: return {AddressClass::loopback, "an address of this host"};
    case net::RouteKind::broadcast:
      return {AddressClass::blocked, "a broadcast address of a network here"};
    case net::RouteKind::remote: break;
  }
  return kind;
}

// A listener on all addresses is reached through every one of this host.
bool reaches(const net::Endpoint& listener, const net::IpAddress& address, std::uint16_t port,
             AddressClass of_class) {
  if (listener.port != port) return false;
  const net::IpAddress at = listener.address.unmapped();
  return at == address || (is_unspecified(at) && of_class == AddressClass::loopback);
}

}  // namespace

AddressGuard::AddressGuard(GuardOptions options) : options_(std::move(options)) {}

std::string AddressGuard::objection(const net::IpAddress& address, std::uint16_t port,
                                    const std::vector<net::IpRange>& allowed) const {
  const auto inner = embedded_ipv4(address);
  const net::IpAddress judged = inner.value_or(address);
  const std::string who = inner ? address.text() + " leads to " + judged.text() + ", which is "
                                : address.text() + " is ";
  const AddressKind kind = kind_here(judged);

  for (const auto& listener : options_.own_listeners) {
    if (reaches(listener, judged, port, kind.of_class) ||
        reaches(listener, address, port, AddressClass::global)) {
      return who + "where the proxy or its policy server listens";
    }
  }
  if (within(options_.always_blocked, address) || within(options_.always_blocked, judged)) {
    return who + "in a range that the configuration blocks";
  }
  const bool blocked = kind.of_class == AddressClass::blocked ||
                       (kind.of_class == AddressClass::loopback && !options_.allow_loopback);
  if (blocked) return who + std::string(kind.name) + ", which is always blocked";
  // The embedding address may itself be one of this host's (a 6to4 interface).
  if (inner && !(options_.allow_loopback && within(allowed, address))) {
    const auto route = net::route_kind(address);
    if (!route || *route != net::RouteKind::remote)
      return address.text() + " is an address of this host";
  }
  if (kind.of_class == AddressClass::global || within(allowed, judged)) return {};
  return who + std::string(kind.name) + " and not in the policy's allowed_ips";
}

}  // namespace warder::proxy
