#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "net/result.h"

namespace warder::net {

// An IPv4 or IPv6 address, without port or zone. A plain value.
class IpAddress {
 public:
  // 0.0.0.0
  IpAddress() = default;
  // Bytes in network order.
  static IpAddress v4(std::array<std::uint8_t, 4> bytes);
  static IpAddress v6(std::array<std::uint8_t, 16> bytes);
  // Only what inet_pton(3) takes: "10.1.2.3", "::1". No brackets, zones, octal or short forms.
  static std::optional<IpAddress> parse(std::string_view text);

  [[nodiscard]] bool is_v4() const { return family_ == AF_INET; }
  [[nodiscard]] bool is_v6() const { return family_ == AF_INET6; }
  // 4 or 16 bytes in network order; lives as long as this object.
  [[nodiscard]] const std::uint8_t* bytes() const { return bytes_.data(); }
  [[nodiscard]] std::size_t size() const { return is_v4() ? 4 : 16; }

  // ::ffff:a.b.c.d becomes a.b.c.d; any other address is returned as it is.
  [[nodiscard]] IpAddress unmapped() const;
  // a.b.c.d becomes ::ffff:a.b.c.d; an IPv6 address is returned as it is.
  [[nodiscard]] IpAddress mapped() const;

  // RFC 5952 (lower case, longest run of zeros compressed); IPv4 dotted.
  [[nodiscard]] std::string text() const;

  friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

 private:
  int family_ = AF_INET;
  std::array<std::uint8_t, 16> bytes_{};
};

// An address range in CIDR form. A plain value.
class IpRange {
 public:
  // "10.0.0.0/8", "fe80::/10", or a single address. Host bits may be set and are ignored.
  static std::optional<IpRange> parse(std::string_view text);
  // Same family only: a mapped address is compared as the IPv6 address it is (unmap first).
  [[nodiscard]] bool contains(const IpAddress& address) const;
  [[nodiscard]] std::string text() const;

 private:
  IpAddress base_;
  unsigned prefix_ = 0;
};

// An address and a port, as in sockaddr_in and sockaddr_in6. A plain value.
struct Endpoint {
  IpAddress address;
  std::uint16_t port = 0;

  // "10.0.0.1:80" or "[::1]:80".
  static std::optional<Endpoint> parse(std::string_view text);
  // nullopt for a family other than AF_INET and AF_INET6, or a short length.
  static std::optional<Endpoint> from_sockaddr(const sockaddr* address, socklen_t length);
  // Fills `storage`; returns the length to pass on.
  socklen_t to_sockaddr(sockaddr_storage& storage) const;

  [[nodiscard]] Endpoint unmapped() const { return {address.unmapped(), port}; }
  [[nodiscard]] std::string text() const;

  friend auto operator<=>(const Endpoint&, const Endpoint&) = default;
};

}  // namespace warder::net

template <>
struct std::hash<warder::net::IpAddress> {
  std::size_t operator()(const warder::net::IpAddress& address) const noexcept;
};
template <>
struct std::hash<warder::net::Endpoint> {
  std::size_t operator()(const warder::net::Endpoint& endpoint) const noexcept;
};
