#include "identity/local_address.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace warder::identity {
namespace {

struct RouteRequest {
  nlmsghdr header;
  rtmsg route;
  rtattr attribute;
  std::array<std::uint8_t, 16> destination;
};

RouteRequest make_request(const net::IpAddress& address) {
  RouteRequest request{};
  request.header.nlmsg_len =
      static_cast<std::uint32_t>(offsetof(RouteRequest, destination) + address.size());
  request.header.nlmsg_type = RTM_GETROUTE;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.route.rtm_family = address.is_v4() ? AF_INET : AF_INET6;
  request.route.rtm_dst_len = static_cast<unsigned char>(address.size() * 8);
  request.attribute.rta_type = RTA_DST;
  request.attribute.rta_len = static_cast<unsigned short>(  // NOLINT(google-runtime-int)
      sizeof(rtattr) + address.size());
  std::memcpy(request.destination.data(), address.bytes(), address.size());
  return request;
}

Result<bool> read_reply(const char* bytes, std::size_t size) {
  nlmsghdr header{};
  if (size < sizeof header) return fail(Errc::system, "rtnetlink: short reply");
  std::memcpy(&header, bytes, sizeof header);
  if (header.nlmsg_type == NLMSG_ERROR && size >= sizeof header + sizeof(int)) {
    int error = 0;
    std::memcpy(&error, bytes + sizeof header, sizeof error);
    // No way there, or an unreachable, prohibit or blackhole route (EINVAL): not ours.
    if (error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EACCES || error == -EINVAL)
      return false;
    return fail(from_errno(-error, "rtnetlink"));
  }
  rtmsg route{};
  if (header.nlmsg_type != RTM_NEWROUTE || size < sizeof header + sizeof route)
    return fail(Errc::system, "rtnetlink: unexpected reply");
  std::memcpy(&route, bytes + sizeof header, sizeof route);
  return route.rtm_type == RTN_LOCAL;
}

}  // namespace

Result<bool> RouteLookup::contains(const net::IpAddress& address) {
  // A new socket for each question would cost more, an old one could hold the reply to another:
  // it is dropped after any failure.
  if (!socket_) {
    socket_ = net::UniqueFd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!socket_) return fail(from_errno(errno, "rtnetlink"));
  }
  const RouteRequest request = make_request(address.unmapped());
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  sockaddr_storage to{};
  std::memcpy(&to, &kernel, sizeof kernel);
  const auto* const destination = reinterpret_cast<const sockaddr*>(&to);
  std::array<char, 8192> reply{};
  ssize_t got = -1;
  // The kernel answers within sendto (net/netlink/af_netlink.c, netlink_unicast_kernel).
  if (::sendto(socket_.get(), &request, request.header.nlmsg_len, 0, destination, sizeof kernel) >=
      0)
    got = ::recv(socket_.get(), reply.data(), reply.size(), MSG_DONTWAIT);
  if (got < 0) {
    const int error = errno;
    socket_.reset();
    return fail(from_errno(error, "rtnetlink"));
  }
  auto local = read_reply(reply.data(), static_cast<std::size_t>(got));
  if (!local) socket_.reset();
  return local;
}

}  // namespace warder::identity
