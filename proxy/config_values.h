#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "identity/host_resolver.h"
#include "net/address.h"
#include "proxy/config.h"

namespace warder::proxy {

// Readers of one configuration value each. They write `out` only when the text is good, and return
// what is wrong with it otherwise ("must be …"); an empty string when nothing is.

template <class T>
struct Range {
  T least;
  T most;
};

// Decimal digits only: no sign, no unit.
[[nodiscard]] std::string read_size(std::string_view text, Range<std::size_t> range,
                                    std::size_t& out);
// "500ms", "10s", "5m", "1h": digits and a unit.
[[nodiscard]] std::string read_duration(std::string_view text,
                                        Range<std::chrono::milliseconds> range,
                                        std::chrono::milliseconds& out);
// Only "true" and "false": YAML 1.1 has eleven spellings more, and "no" is also a country.
[[nodiscard]] std::string read_bool(std::string_view text, bool& out);
[[nodiscard]] std::string read_level(std::string_view text, LogLevel& out);
[[nodiscard]] std::string read_format(std::string_view text, LogFormat& out);
[[nodiscard]] std::string read_explain(std::string_view text, Explain& out);
// "auto" is 0.
[[nodiscard]] std::string read_workers(std::string_view text, std::size_t& out);
// "pid:469" or "469", "pidfile:/path", "cgroup:/path", "container:0123456789ab…".
[[nodiscard]] std::string read_sandbox(std::string_view text, identity::SandboxSpec& out);
[[nodiscard]] std::string read_lookup(std::string_view text,
                                      identity::HostResolverOptions::Lookup& out);
// "127.0.0.1:3128", "[::1]:3128".
[[nodiscard]] std::string read_endpoint(std::string_view text, net::Endpoint& out);
[[nodiscard]] std::string read_range(std::string_view text, net::IpRange& out);
// A loopback address and port, "unix:/path", or "none".
[[nodiscard]] std::string read_admin(std::string_view text, std::optional<AdminAddress>& out);
[[nodiscard]] std::string read_opa_url(std::string_view text, std::string& out);
// The path of a URL: begins with '/', and holds only what RFC 3986 allows in a path.
[[nodiscard]] std::string read_url_path(std::string_view text, std::string& out);
// An absolute path of a directory or file.
[[nodiscard]] std::string read_absolute_path(std::string_view text, std::string& out);
// Likewise, or "".
[[nodiscard]] std::string read_optional_path(std::string_view text, std::string& out);
// "" or "address:port".
[[nodiscard]] std::string read_dns_server(std::string_view text, std::string& out);

// Nobody between here and there can read along.
[[nodiscard]] bool is_loopback(const net::IpAddress& address);

// The same values as text that the readers take.
[[nodiscard]] std::string show(std::chrono::milliseconds value);
[[nodiscard]] std::string show(bool value);
[[nodiscard]] std::string show(LogLevel value);
[[nodiscard]] std::string show(LogFormat value);
[[nodiscard]] std::string show(Explain value);
[[nodiscard]] std::string show(const identity::SandboxSpec& value);
[[nodiscard]] std::string show(identity::HostResolverOptions::Lookup value);
[[nodiscard]] std::string show(const std::optional<AdminAddress>& value);

}  // namespace warder::proxy
