#include "net/http/authority.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "require.h"

namespace {

using warder::Result;
using warder::http::Authority;
using warder::http::Host;

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

void check_host(const Host& host) {
  REQUIRE_THAT(!host.name.empty() && host.name.size() <= 253 && host.name.back() != '.');
  if (host.address) {
    REQUIRE_THAT(host.name == host.address->text());
    REQUIRE_THAT(host.address->unmapped() == *host.address);
  } else {
    REQUIRE_THAT(std::all_of(host.name.begin(), host.name.end(), is_name_byte));
    REQUIRE_THAT(!warder::net::IpAddress::parse(host.name));
  }
}

}  // namespace

// What is accepted is canonical: reading its text again gives the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Result<Host> host = warder::http::parse_host(text);
  if (host) check_host(*host);

  const Result<Authority> authority = warder::http::parse_authority(text);
  if (!authority) {
    REQUIRE_THAT(authority.error().code == warder::Errc::bad_authority);
    REQUIRE_THAT(!host);  // a host alone is an authority too
    return 0;
  }
  check_host(authority->host);
  REQUIRE_THAT(authority->port.value_or(1) != 0);
  const Result<Authority> again = warder::http::parse_authority(authority->text());
  REQUIRE_THAT(again && again->host == authority->host && again->port == authority->port);
  REQUIRE_THAT(again->host.address == authority->host.address);
  return 0;
}
