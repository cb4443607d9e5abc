#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "opa-client/client.h"

namespace warder::opa {
namespace {

constexpr std::string_view kHttp = "http://";
constexpr std::string_view kUnix = "unix://";
constexpr std::string_view kHttps = "https://";

tl::unexpected<Error> bad(const std::string& url, std::string_view what) {
  return fail(Errc::bad_config, fmt::format("\"{}\": {}", url, what));
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* end = text.data() + text.size();
  if (text.empty() || text.size() > 5) return std::nullopt;
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc{} || stop != end || port == 0) return std::nullopt;
  return port;
}

std::optional<net::IpAddress> parse_host(std::string_view host) {
  // No lookup: whoever answers for "localhost" would answer for the policy (RFC 6761, section 6.3).
  if (host == "localhost") return net::IpAddress::v4({127, 0, 0, 1});
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const auto address = net::IpAddress::parse(bracketed ? host.substr(1, host.size() - 2) : host);
  if (!address || address->is_v6() != bracketed) return std::nullopt;
  return address;
}

Result<Address> parse_tcp(const std::string& url) {
  std::string_view rest = std::string_view(url).substr(kHttp.size());
  if (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  if (rest.find_first_of("/?#") != std::string_view::npos) {
    return bad(url, "has a path; the path of the decision is a key of its own (opa.path)");
  }
  if (rest.find('@') != std::string_view::npos) return bad(url, "user names are not supported");
  const auto colon = rest.rfind(':');
  if (colon == std::string_view::npos || rest.back() == ']') return bad(url, "the port is missing");
  const auto port = parse_port(rest.substr(colon + 1));
  if (!port) return bad(url, "the port is not a number from 1 to 65535");
  const auto host = parse_host(rest.substr(0, colon));
  if (!host) {
    return bad(url, "the host must be an address (IPv6 in brackets) or \"localhost\"");
  }
  Address address;
  address.kind = Address::Kind::tcp;
  address.endpoint = {*host, *port};
  address.host_header = std::string(rest);
  return address;
}

Result<Address> parse_unix(const std::string& url) {
  const std::string path = url.substr(kUnix.size());
  if (path.empty() || path.front() != '/') {
    return bad(url, "the path of the socket must be absolute: unix:///run/opa/opa.sock");
  }
  if (path.find('\0') != std::string::npos) return bad(url, "the path holds a NUL");
  // unix(7): sun_path has to hold the terminating NUL too.
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return bad(url, "the path of the socket is longer than 107 bytes");
  }
  Address address;
  address.kind = Address::Kind::unix_socket;
  address.socket_path = path;
  address.host_header = "localhost";
  return address;
}

}  // namespace

Result<Address> parse_url(const std::string& url) {
  if (url.starts_with(kHttp)) return parse_tcp(url);
  if (url.starts_with(kUnix)) return parse_unix(url);
  if (url.starts_with(kHttps)) {
    return bad(url, "https is not supported yet; use http:// on loopback, or unix://");
  }
  return bad(url, "must begin with http:// or unix://");
}

}  // namespace warder::opa
