#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

#include "net/error.h"
#include "net/socket.h"

namespace warder::net {

// A file of its own: the C library's tcp_info lacks the field, and its header can't stand beside
// the kernel's.
Result<std::uint64_t> bytes_acknowledged(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) {
    return fail(from_errno(errno, "TCP_INFO"));
  }
  // The SYN counts as a byte.
  return info.tcpi_bytes_acked - (info.tcpi_bytes_acked > 0 ? 1 : 0);
}

}  // namespace warder::net
