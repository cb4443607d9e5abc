#include "tests/support/sockets.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <catch2/catch_test_macros.hpp>

#include "net/socket.h"

namespace warder::testing {
namespace {

void wait_for(int fd, decltype(pollfd::events) events) {
  pollfd wanted{fd, events, 0};
  REQUIRE(::poll(&wanted, 1, 10000) == 1);
}

}  // namespace

Pair unix_pair() {
  std::array<int, 2> fds{-1, -1};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds.data()) == 0);
  return {net::UniqueFd(fds[0]), net::UniqueFd(fds[1])};
}

Listening listen_somewhere(const net::IpAddress& address) {
  auto fd = net::listen_tcp({address, 0}, 128, net::PortSharing::exclusive);
  REQUIRE(fd.has_value());
  const auto at = net::local_endpoint(fd->get());
  REQUIRE(at.has_value());
  return {std::move(*fd), *at};
}

net::Endpoint closed_port(const net::IpAddress& address) { return listen_somewhere(address).at; }

Pair tcp_pair(const net::IpAddress& address) {
  const Listening listener = listen_somewhere(address);
  auto near = net::start_connect(listener.at);
  REQUIRE(near.has_value());
  wait_for(listener.fd.get(), POLLIN);
  auto accepted = net::accept_tcp(listener.fd.get());
  REQUIRE(accepted.has_value());
  REQUIRE(accepted->has_value());
  wait_for(near->get(), POLLOUT);
  return {std::move(*near), std::move((*accepted)->fd)};
}

bool read_available(int fd, std::string& into) {
  std::array<char, 65536> buffer{};
  for (;;) {
    const auto moved = net::read_some(fd, buffer);
    if (!moved || moved->end) return false;
    if (moved->would_block) return true;
    into.append(buffer.data(), moved->bytes);
  }
}

std::size_t write_available(int fd, std::string_view bytes) {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const auto moved = net::write_some(fd, bytes.substr(written));
    if (!moved || moved->would_block) break;
    written += moved->bytes;
  }
  return written;
}

void shrink_buffers(int fd) {
  const int least = 1;
  // With a window of a few bytes TCP would wait for delayed acknowledgements all the time.
  const int small = 32 * 1024;
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &least, sizeof least);
  ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
}

}  // namespace warder::testing
