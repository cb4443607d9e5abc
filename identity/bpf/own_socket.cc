#include "identity/bpf/own_socket.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>

#include "net/address.h"

namespace warder::identity::bpf {

Result<OwnSocket> connect_own_socket() {
  // Bound, so that nobody else has the port, and not listening: that refuses it is no matter.
  const net::UniqueFd target(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  OwnSocket own;
  own.fd.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!target || !own.fd) return fail(from_errno(errno, "socket"));
  sockaddr_storage at{};
  socklen_t length = net::Endpoint{*net::IpAddress::parse("127.0.0.1"), 0}.to_sockaddr(at);
  auto* const address = reinterpret_cast<sockaddr*>(&at);
  if (::bind(target.get(), address, length) != 0) return fail(from_errno(errno, "bind 127.0.0.1"));
  if (::getsockname(target.get(), address, &length) != 0)
    return fail(from_errno(errno, "getsockname"));
  if (::connect(own.fd.get(), address, length) != 0 && errno != EINPROGRESS &&
      errno != ECONNREFUSED)
    return fail(from_errno(errno, "connect to 127.0.0.1, to try what is recorded"));
  struct stat info {};
  socklen_t size = sizeof own.cookie;
  if (::fstat(own.fd.get(), &info) != 0 ||
      ::getsockopt(own.fd.get(), SOL_SOCKET, SO_COOKIE, &own.cookie, &size) != 0)
    return fail(from_errno(errno, "SO_COOKIE"));
  own.inode = info.st_ino;
  return own;
}

}  // namespace warder::identity::bpf
