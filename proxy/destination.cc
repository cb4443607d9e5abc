#include "proxy/destination.h"

#include <cerrno>
#include <string>
#include <utility>

namespace warder::proxy {

namespace {

std::string dial_code(const Error& error) {
  switch (error.sys_errno) {
    case ECONNREFUSED: return "connection_refused";
    case ENETUNREACH:
    case EHOSTUNREACH: return "destination_unreachable";
    default: break;
  }
  if (error.code == Errc::timed_out) return "connect_timeout";
  if (error.code == Errc::out_of_descriptors) return "out_of_descriptors";
  return "connect_failed";
}

int dial_status(const Error& error) {
  if (error.code == Errc::timed_out) return 504;
  return error.code == Errc::out_of_descriptors ? 503 : 502;
}

}  // namespace

std::vector<net::IpRange> allowed_ranges(const opa::Decision& decision) {
  std::vector<net::IpRange> parsed;
  for (const std::string& text : decision.allowed_ips) {
    // opa::parse_answer has checked them; one that does not parse would allow nothing anyway.
    if (const auto range = net::IpRange::parse(text)) parsed.push_back(*range);
  }
  return parsed;
}

std::optional<Failure> objection_to(const std::vector<net::IpAddress>& addresses,
                                    std::uint16_t port, const AddressGuard& guard,
                                    const std::vector<net::IpRange>& allowed) {
  for (const net::IpAddress& address : addresses) {
    std::string objection = guard.objection(address, port, allowed);
    if (!objection.empty()) {
      return Failure{Verdict::deny, "address_blocked", std::move(objection), 403, std::nullopt};
    }
  }
  return std::nullopt;
}

Failure dial_failure(const Error& error) {
  return {Verdict::error, dial_code(error), describe(error), dial_status(error), std::nullopt};
}

}  // namespace warder::proxy
