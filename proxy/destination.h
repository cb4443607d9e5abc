#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "net/address.h"
#include "net/error.h"
#include "opa-client/decision.h"
#include "proxy/failure.h"
#include "proxy/guard.h"

namespace warder::proxy {

// The ranges an answer opens beyond the public addresses.
[[nodiscard]] std::vector<net::IpRange> allowed_ranges(const opa::Decision& decision);

// The guard's word on what a name stands for: one bad address refuses all of them, because a name
// that also points inside is a rebinding attempt. nullopt: every one may be dialled.
[[nodiscard]] std::optional<Failure> objection_to(const std::vector<net::IpAddress>& addresses,
                                                  std::uint16_t port, const AddressGuard& guard,
                                                  const std::vector<net::IpRange>& allowed);

// A connection that could not be made.
[[nodiscard]] Failure dial_failure(const Error& error);

}  // namespace warder::proxy
