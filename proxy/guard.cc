#include "proxy/guard.h"

#include <algorithm>
#include <utility>

namespace warder::proxy {
namespace {

bool within(const std::vector<net::IpRange>& ranges, const net::IpAddress& address) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&address](const net::IpRange& range) { return range.contains(address); });
}

bool is_unspecified(const net::IpAddress& address) {
  return address == net::IpAddress() || address == net::IpAddress::v6({});
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
  std::string objection = judge({address, inner.value_or(address), port}, allowed);
  if (!objection.empty()) return objection;
  // The embedding address may itself be one of this host's (a 6to4 interface).
  if (inner && !(options_.allow_loopback && within(allowed, address))) {
    const auto route = options_.route(address);
    if (!route || *route != net::RouteKind::remote)
      return address.text() + " is an address of this host";
  }
  // Who allows the IPv6 address itself allows what is merely private behind it.
  static const std::vector<net::IpRange> all_ipv4{net::IpRange::parse("0.0.0.0/0").value()};
  const auto& opened = within(allowed, address) ? all_ipv4 : allowed;
  for (const net::IpAddress& possible : possible_ipv4(address)) {
    objection = judge({address, possible, port}, opened);
    if (!objection.empty()) return objection;
  }
  return {};
}

AddressKind AddressGuard::kind_here(const net::IpAddress& address) const {
  const AddressKind kind = classify(address);
  if (kind.of_class == AddressClass::blocked || kind.of_class == AddressClass::loopback)
    return kind;
  const auto route = options_.route(address);
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

std::string AddressGuard::judge(const Target& target,
                                const std::vector<net::IpRange>& allowed) const {
  const net::IpAddress& judged = target.leads_to;
  const std::string who = judged == target.address ? target.address.text() + " is "
                                                   : target.address.text() + " leads to " +
                                                         judged.text() + ", which is ";
  const AddressKind kind = kind_here(judged);
  for (const auto& listener : options_.own_listeners) {
    if (reaches(listener, judged, target.port, kind.of_class) ||
        reaches(listener, target.address, target.port, AddressClass::global)) {
      return who + "where the proxy or its policy server listens";
    }
  }
  if (options_.opa != nullptr && (options_.opa->contain(judged, target.port) ||
                                  options_.opa->contain(target.address, target.port))) {
    return who + "where the policy server listens";
  }
  if (within(options_.always_blocked, target.address) || within(options_.always_blocked, judged)) {
    return who + "in a range that the configuration blocks";
  }
  const bool blocked = kind.of_class == AddressClass::blocked ||
                       (kind.of_class == AddressClass::loopback && !options_.allow_loopback);
  if (blocked) return who + std::string(kind.name) + ", which is always blocked";
  if (kind.of_class == AddressClass::global || within(allowed, judged)) return {};
  return who + std::string(kind.name) + " and not in the policy's allowed_ips";
}

}  // namespace warder::proxy
