#include "net/route.h"

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>

#include "net/unique_fd.h"

namespace warder::net {
namespace {

struct Question {
  nlmsghdr header;
  rtmsg route;
  rtattr attribute;
  std::array<std::uint8_t, 16> address;
};

Question question_for(const IpAddress& address) {
  Question question{};
  const std::size_t size = address.size();
  question.header.nlmsg_len =
      static_cast<std::uint32_t>(NLMSG_LENGTH(sizeof(rtmsg)) + RTA_LENGTH(size));
  question.header.nlmsg_type = RTM_GETROUTE;
  question.header.nlmsg_flags = NLM_F_REQUEST;
  question.header.nlmsg_seq = 1;
  question.route.rtm_family = static_cast<unsigned char>(address.is_v4() ? AF_INET : AF_INET6);
  question.route.rtm_dst_len = static_cast<unsigned char>(size * 8);
  question.attribute.rta_type = RTA_DST;
  question.attribute.rta_len = static_cast<std::uint16_t>(RTA_LENGTH(size));
  std::memcpy(question.address.data(), address.bytes(), size);
  return question;
}

RouteKind kind_of(unsigned char type) {
  switch (type) {
    case RTN_LOCAL:
    case RTN_ANYCAST: return RouteKind::local;
    case RTN_BROADCAST:
    case RTN_MULTICAST: return RouteKind::broadcast;
    default: return RouteKind::remote;
  }
}

// The kernel's way to say that there is no route, or one of type unreachable
// or prohibit (fib_props in net/ipv4/fib_semantics.c). Nothing local answers there. EINVAL means
// blackhole, but also a question that was not understood: that is asked otherwise.
bool leads_nowhere(int error) {
  return error == ENETUNREACH || error == EHOSTUNREACH || error == EACCES;
}

// nullopt: the kernel gave no answer that can be used.
std::optional<RouteKind> parse_answer(const char* bytes, std::size_t length) {
  nlmsghdr header{};
  if (length < sizeof header) return std::nullopt;
  std::memcpy(&header, bytes, sizeof header);
  const char* body = bytes + NLMSG_HDRLEN;
  const std::size_t size = length - NLMSG_HDRLEN;
  if (header.nlmsg_type == RTM_NEWROUTE && size >= sizeof(rtmsg)) {
    rtmsg route{};
    std::memcpy(&route, body, sizeof route);
    return kind_of(route.rtm_type);
  }
  if (header.nlmsg_type == NLMSG_ERROR && size >= sizeof(int)) {
    int error = 0;
    std::memcpy(&error, body, sizeof error);
    if (leads_nowhere(-error)) return RouteKind::remote;
  }
  return std::nullopt;
}

std::optional<RouteKind> ask_rtnetlink(const IpAddress& address) {
  const UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!fd) return std::nullopt;
  // The kernel answers within the sendto(2); the limit is for one that doesn't.
  const timeval limit{0, 100000};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  const Question question = question_for(address);
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  const auto* to = reinterpret_cast<const sockaddr*>(&kernel);
  if (::sendto(fd.get(), &question, question.header.nlmsg_len, 0, to, sizeof kernel) < 0) {
    return std::nullopt;
  }
  std::array<char, 4096> answer{};
  const ssize_t count = ::recv(fd.get(), answer.data(), answer.size(), 0);
  if (count <= 0) return std::nullopt;
  return parse_answer(answer.data(), static_cast<std::size_t>(count));
}

}  // namespace

Result<RouteKind> route_kind(const IpAddress& address) {
  if (const auto answer = ask_rtnetlink(address)) return *answer;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return fail(from_errno(errno, "getifaddrs"));
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owned(list, &::freeifaddrs);
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) continue;
    const bool v4 = entry->ifa_addr->sa_family == AF_INET;
    const auto endpoint =
        Endpoint::from_sockaddr(entry->ifa_addr, v4 ? sizeof(sockaddr_in) : sizeof(sockaddr_in6));
    if (endpoint && endpoint->address == address) return RouteKind::local;
  }
  return RouteKind::remote;
}

}  // namespace warder::net
