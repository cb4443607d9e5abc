#include "identity/netlink_socket.h"

#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

namespace warder::identity {
namespace {

// NLMSG_GOODSIZE is at most 8 KiB; a dump's datagrams are at most 32 KiB (netlink_dump).
constexpr std::size_t kLargestDatagram = std::size_t{32} * 1024;
// Answers to questions that were given up.
constexpr int kMostStale = 256;

}  // namespace

NetlinkSocket::NetlinkSocket(net::UniqueFd fd) : fd_(std::move(fd)), buffer_(kLargestDatagram) {}

Result<NetlinkSocket> NetlinkSocket::open(int protocol, std::uint32_t groups) {
  net::UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return fail(from_errno(errno, "netlink socket"));
  // The kernel answers within the send; the limit is for one that doesn't.
  const timeval limit{0, 100000};
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0)
    return fail(from_errno(errno, "SO_RCVTIMEO"));
  sockaddr_nl own{};
  own.nl_family = AF_NETLINK;
  own.nl_groups = groups;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0)
    return fail(from_errno(errno, "netlink bind"));
  // Whoever has CAP_NET_ADMIN in that namespace could send us answers of its own making. The kernel
  // takes none for a connected socket but from the other end (netlink_getsockbyportid in
  // net/netlink/af_netlink.c).
  sockaddr_nl kernel{};
  kernel.nl_family = AF_NETLINK;
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel) != 0)
    return fail(from_errno(errno, "netlink connect"));
  return NetlinkSocket(std::move(fd));
}

std::uint32_t NetlinkSocket::next_sequence() {
  if (++sequence_ == 0) ++sequence_;
  return sequence_;
}

Result<void> NetlinkSocket::send(Bytes message) {
  ssize_t sent = -1;
  do sent = ::send(fd_.get(), message.data(), message.size(), 0);
  while (sent < 0 && errno == EINTR);
  if (sent < 0) return fail(from_errno(errno, "netlink send"));
  if (static_cast<std::size_t>(sent) != message.size())
    return fail(Errc::system, "netlink send: cut");
  return {};
}

Result<Bytes> NetlinkSocket::receive() {
  sockaddr_nl from{};
  iovec into{buffer_.data(), buffer_.size()};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &into;
  message.msg_iovlen = 1;
  ssize_t got = -1;
  do got = ::recvmsg(fd_.get(), &message, 0);
  while (got < 0 && errno == EINTR);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return fail(Errc::timed_out, "netlink: no answer");
  if (got < 0) return fail(from_errno(errno, "netlink receive"));
  if ((message.msg_flags & MSG_TRUNC) != 0) return fail(Errc::system, "netlink: answer too large");
  if (message.msg_namelen != sizeof from || from.nl_pid != 0)
    return fail(Errc::system, "netlink: an answer that is not the kernel's");
  return Bytes(buffer_.data(), static_cast<std::size_t>(got));
}

Result<Bytes> NetlinkSocket::receive(std::uint32_t sequence) {
  for (int i = 0; i < kMostStale; ++i) {
    auto datagram = receive();
    if (!datagram || sequence_of(*datagram) == sequence) return datagram;
  }
  return fail(Errc::system, "netlink: too many answers to other questions");
}

bool NetlinkSocket::drain() {
  bool any = false;
  for (int i = 0; i < kMostStale; ++i) {
    const ssize_t got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return any;
    any = true;  // ENOBUFS: more had come than there is room for
  }
  return any;
}

}  // namespace warder::identity
