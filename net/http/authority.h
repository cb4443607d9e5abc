#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/address.h"
#include "net/result.h"

namespace warder::http {

// A host as policies see it and as it is dialled: lower case, no trailing dot; an address in
// RFC 5952 form without brackets, an IPv4-mapped one as the IPv4 address it is dialled as. A plain
// value, made only by the parsers below.
struct Host {
  std::string name;
  std::optional<net::IpAddress> address;  // set when the host is a literal address

  friend bool operator==(const Host& a, const Host& b) { return a.name == b.name; }
};

struct Authority {
  Host host;
  std::optional<std::uint16_t> port;  // 1..65535

  // "host:port", an IPv6 address in brackets.
  [[nodiscard]] std::string text() const;
};

// A host: labels of letters, digits, '-' and '_' (1 to 63 bytes, not beginning or ending with '-';
// 253 in all), or an IPv4 address, or an IPv6 address in brackets without zone. Refused with
// bad_authority: non-ASCII, '%', userinfo, and what only C libraries read as addresses (a last
// label that is all digits or 0x…: 127.1, 0x7f.1, 2130706433, 0177.0.0.1).
[[nodiscard]] Result<Host> parse_host(std::string_view text);

// host [":" port], nothing before or after. The port has 1 to 5 digits and is not 0.
[[nodiscard]] Result<Authority> parse_authority(std::string_view text);

}  // namespace warder::http
