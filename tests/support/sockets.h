#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "net/address.h"
#include "net/unique_fd.h"

namespace warder::testing {

// Two connected non-blocking sockets.
struct Pair {
  net::UniqueFd near, far;
};
[[nodiscard]] Pair unix_pair();
[[nodiscard]] Pair tcp_pair(const net::IpAddress& address = net::IpAddress::v4({127, 0, 0, 1}));

// A listener on a free port of `address`, and where it is.
struct Listening {
  net::UniqueFd fd;
  net::Endpoint at;
};
[[nodiscard]] Listening listen_somewhere(
    const net::IpAddress& address = net::IpAddress::v4({127, 0, 0, 1}));
// A port of `address` on which nobody listens (until somebody else takes it).
[[nodiscard]] net::Endpoint closed_port(const net::IpAddress& address = net::IpAddress::v4({127, 0,
                                                                                            0, 1}));

// Appends what can be read now without waiting. False once the stream has ended or failed.
bool read_available(int fd, std::string& into);
// Writes as much as goes now without waiting; returns how much.
std::size_t write_available(int fd, std::string_view bytes);

// Makes the kernel's send buffer of `fd` as small as it goes, and its receive buffer small.
void shrink_buffers(int fd);

}  // namespace warder::testing
