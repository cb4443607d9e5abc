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

tl::unexpected<Error> bad_url(const std::string& url, std::string_view what) {
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

// A name as it can stand in DNS and in a certificate (RFC 1123 section 2.1, with the underscore
// that container names have). What looks like an address but is none is not a name.
bool is_name(std::string_view host) {
  constexpr std::size_t kLongest = 253;
  if (host.empty() || host.size() > kLongest || host.front() == '-') return false;
  const auto label = host.substr(host.rfind('.') + 1);
  const bool starts_with_digit = !label.empty() && label.front() >= '0' && label.front() <= '9';
  if (label.empty() || starts_with_digit || host.front() == '.') return false;
  return host.find("..") == std::string_view::npos &&
         std::all_of(host.begin(), host.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '.' || c == '_';
         });
}

// False when it is neither an address nor a name.
bool read_host(std::string_view host, Address& address) {
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  const std::string_view plain = bracketed ? host.substr(1, host.size() - 2) : host;
  address.tls_peer = plain;
  // No lookup: whoever answers for "localhost" would answer for the policy (RFC 6761, section 6.3).
  const std::optional<net::IpAddress> literal =
      host == "localhost" ? net::IpAddress::v4({127, 0, 0, 1}) : net::IpAddress::parse(plain);
  if (literal) {
    address.endpoint.address = *literal;
    return literal->is_v6() == bracketed;
  }
  address.name = host;
  return is_name(host);
}

Result<Address> parse_tcp(const std::string& url, std::string_view scheme) {
  std::string_view rest = std::string_view(url).substr(scheme.size());
  if (!rest.empty() && rest.back() == '/') rest.remove_suffix(1);
  if (rest.find_first_of("/?#") != std::string_view::npos) {
    return bad_url(url, "has a path; the path of the decision is a key of its own (opa.path)");
  }
  if (rest.find('@') != std::string_view::npos) return bad_url(url, "user names are not supported");
  const auto colon = rest.rfind(':');
  if (colon == std::string_view::npos || rest.back() == ']')
    return bad_url(url, "the port is missing");
  const auto port = parse_port(rest.substr(colon + 1));
  if (!port) return bad_url(url, "the port is not a number from 1 to 65535");
  Address address;
  if (!read_host(rest.substr(0, colon), address)) {
    return bad_url(url, "the host must be a name or an address (IPv6 in brackets)");
  }
  address.kind = Address::Kind::tcp;
  address.endpoint.port = *port;
  address.host_header = std::string(rest);
  address.tls = scheme == kHttps;
  return address;
}

Result<Address> parse_unix(const std::string& url) {
  const std::string path = url.substr(kUnix.size());
  if (path.empty() || path.front() != '/') {
    return bad_url(url, "the path of the socket must be absolute: unix:///run/opa/opa.sock");
  }
  if (path.find('\0') != std::string::npos) return bad_url(url, "the path holds a NUL");
  // unix(7): sun_path has to hold the terminating NUL too.
  if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
    return bad_url(url, "the path of the socket is longer than 107 bytes");
  }
  Address address;
  address.kind = Address::Kind::unix_socket;
  address.socket_path = path;
  address.host_header = "localhost";
  return address;
}

}  // namespace

Result<Address> parse_url(const std::string& url) {
  if (url.starts_with(kHttp)) return parse_tcp(url, kHttp);
  if (url.starts_with(kHttps)) return parse_tcp(url, kHttps);
  if (url.starts_with(kUnix)) return parse_unix(url);
  return bad_url(url, "must begin with http://, https:// or unix://");
}

}  // namespace warder::opa
