#include "net/socket.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

// Last: the kernel's headers must find the C library's in place.
#include <linux/netfilter_ipv4.h>

namespace warder::net {
namespace {

// linux/netfilter_ipv6/ip6_tables.h, which does not compile as C++.
constexpr int kIp6OriginalDst = 80;

Result<UniqueFd> open_socket(int family) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return fail(from_errno(errno, "socket"));
  return fd;
}

bool set_option(int fd, int level, int name, int value) {
  return ::setsockopt(fd, level, name, &value, sizeof value) == 0;
}

// accept(2), "Error handling": errors of the new connection, not of the listener.
bool died_in_backlog(int error) {
  switch (error) {
    case ECONNABORTED:
    case EINTR:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: return true;  // a firewall rule
    default: return false;
  }
}

using NameCall = int (*)(int, sockaddr*, socklen_t*);

Result<Endpoint> endpoint_by(NameCall call, int fd, const char* what) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (call(fd, address, &length) != 0) return fail(from_errno(errno, what));
  const auto endpoint = Endpoint::from_sockaddr(address, length);
  if (!endpoint) return fail(from_errno(EAFNOSUPPORT, what));
  return *endpoint;
}

// Connecting has begun; what became of it is seen when the socket is writable.
bool under_way(int status) { return status == 0 || errno == EINPROGRESS || errno == EINTR; }

}  // namespace

Result<UniqueFd> listen_tcp(const Endpoint& at, int backlog, PortSharing sharing) {
  const std::string what = "listening on " + at.text();
  auto fd = open_socket(at.address.is_v6() ? AF_INET6 : AF_INET);
  if (!fd) return fd;
  bool set = set_option(fd->get(), SOL_SOCKET, SO_REUSEADDR, 1);
  if (sharing == PortSharing::shared)
    set = set && set_option(fd->get(), SOL_SOCKET, SO_REUSEPORT, 1);
  if (at.address.is_v6()) {
    const bool only_v6 = at.address != IpAddress::v6({});
    set = set && set_option(fd->get(), IPPROTO_IPV6, IPV6_V6ONLY, only_v6 ? 1 : 0);
  }
  if (!set) return fail(from_errno(errno, what));
  sockaddr_storage storage{};
  const socklen_t length = at.to_sockaddr(storage);
  if (::bind(fd->get(), reinterpret_cast<const sockaddr*>(&storage), length) != 0 ||
      ::listen(fd->get(), backlog) != 0) {
    return fail(from_errno(errno, what));
  }
  return fd;
}

Result<std::optional<Accepted>> accept_tcp(int listener) {
  constexpr int kMaxSkipped = 32;
  for (int skipped = 0; skipped < kMaxSkipped; ++skipped) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    auto* address = reinterpret_cast<sockaddr*>(&storage);
    UniqueFd fd(::accept4(listener, address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd) {
      const auto peer = Endpoint::from_sockaddr(address, length);
      if (!peer) return fail(from_errno(EAFNOSUPPORT, "accept"));
      return Accepted{std::move(fd), *peer};
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return std::nullopt;
    if (!died_in_backlog(errno)) return fail(from_errno(errno, "accept"));
  }
  // The listener is still readable: the loop comes back.
  return std::nullopt;
}

Result<UniqueFd> start_connect(const Endpoint& to) {
  auto fd = open_socket(to.address.is_v6() ? AF_INET6 : AF_INET);
  if (!fd) return fd;
  sockaddr_storage storage{};
  const socklen_t length = to.to_sockaddr(storage);
  if (!under_way(::connect(fd->get(), reinterpret_cast<const sockaddr*>(&storage), length))) {
    return fail(from_errno(errno, "connecting to " + to.text()));
  }
  return fd;
}

Result<UniqueFd> start_connect_unix(const std::string& path) {
  const std::string what = "connecting to " + path;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // A leading NUL would name an abstract socket, which has no owner to trust.
  if (path.empty() || path.size() >= sizeof address.sun_path ||
      path.find('\0') != std::string::npos) {
    return fail(from_errno(EINVAL, what));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  auto fd = open_socket(AF_UNIX);
  if (!fd) return fd;
  if (!under_way(
          ::connect(fd->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address))) {
    return fail(from_errno(errno, what));
  }
  return fd;
}

Result<Transfer> read_some(int fd, std::span<char> into) {
  // read(2) of no bytes returns 0, which would look like the end of the stream.
  if (into.empty()) return Transfer{};
  ssize_t count = 0;
  do {
    count = ::read(fd, into.data(), into.size());
  } while (count < 0 && errno == EINTR);
  if (count > 0) return Transfer{static_cast<std::size_t>(count), false, false};
  if (count == 0) return Transfer{0, false, true};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Transfer{0, true, false};
  return fail(from_errno(errno, "read"));
}

Result<Transfer> write_some(int fd, std::span<const char> bytes) {
  if (bytes.empty()) return Transfer{};
  ssize_t count = 0;
  do {
    count = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  } while (count < 0 && errno == EINTR);
  if (count >= 0) return Transfer{static_cast<std::size_t>(count), false, false};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return Transfer{0, true, false};
  return fail(from_errno(errno, "write"));
}

int so_error(int fd) {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

Result<Endpoint> local_endpoint(int fd) { return endpoint_by(&::getsockname, fd, "getsockname"); }

Result<Endpoint> peer_endpoint(int fd) { return endpoint_by(&::getpeername, fd, "getpeername"); }

std::optional<Endpoint> original_destination(int fd) {
  const auto local = local_endpoint(fd);
  if (!local) return std::nullopt;
  // An IPv4 connection that a dual-stack listener accepted is known to the IPv4 tables.
  const bool v4 = local->address.unmapped().is_v4();
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockopt(fd, v4 ? SOL_IP : SOL_IPV6, v4 ? SO_ORIGINAL_DST : kIp6OriginalDst, &storage,
                   &length) != 0) {
    return std::nullopt;
  }
  const auto original =
      Endpoint::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length);
  if (!original || original->unmapped() == local->unmapped()) return std::nullopt;
  return original;
}

void shutdown_write(int fd) { ::shutdown(fd, SHUT_WR); }

void set_nodelay(int fd) { set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); }

void set_keepalive(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 60);   // seconds
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);  // seconds
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, 4);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void reset_on_close(int fd) {
  const linger now{1, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace warder::net
