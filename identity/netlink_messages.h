#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "net/address.h"
#include "net/result.h"

namespace warder::identity {

// The netlink(7) messages of sock_diag(7), ctnetlink and rtnetlink(7) that are needed to find one
// TCP socket. Pure: nothing here does input or output. A datagram is checked before any of it is
// believed: what is cut, or not what was asked for, is an error and never an absent socket.

using Bytes = std::span<const std::byte>;

// Both ends of a socket, as it would show them itself.
struct SocketEnds {
  net::Endpoint local, remote;
  friend bool operator==(const SocketEnds&, const SocketEnds&) = default;
};

// A socket as sock_diag shows it.
struct DiagSocket {
  net::Endpoint local, remote;
  unsigned state = 0;           // include/net/tcp_states.h
  std::uint64_t inode = 0;      // 0: it belongs to no process any more
  std::uint64_t cookie = 0;     // as SO_COOKIE gives it
  uid_t uid = 0;                // of its file, in our user namespace
  std::uint32_t interface = 0;  // index of the one it is bound to (SO_BINDTODEVICE); 0: none
};

// Appends the question for the one socket with these ends. `interface`: a socket bound to an
// interface is found only when asked for with its index, one that is not with any.
void put_diag_question(std::vector<std::byte>& message, std::uint32_t sequence,
                       const net::Endpoint& local, const net::Endpoint& remote,
                       std::uint32_t interface);

// nullopt: there is none. What the kernel says of another socket (the listener, where there is no
// connection) is handed on as it is: the ends must be compared.
[[nodiscard]] Result<std::optional<DiagSocket>> parse_diag_reply(Bytes datagram,
                                                                 std::uint32_t sequence);

// Asks connection tracking about the connection whose answers go from `from` to `to`. Both have one
// family.
void put_conntrack_question(std::vector<std::byte>& message, std::uint32_t sequence,
                            const net::Endpoint& from, const net::Endpoint& to);
// The ends that the client's own socket has. nullopt: it is not tracked.
[[nodiscard]] Result<std::optional<SocketEnds>> parse_conntrack_reply(Bytes datagram,
                                                                      std::uint32_t sequence);

// Asks for all network interfaces; the answer comes in several datagrams.
void put_interfaces_question(std::vector<std::byte>& message, std::uint32_t sequence);
// Appends the indices. Whether it was the last datagram.
[[nodiscard]] Result<bool> parse_interfaces_reply(Bytes datagram, std::uint32_t sequence,
                                                  std::vector<std::uint32_t>& indices);

// The sequence number of a datagram's first message; nullopt when it holds no whole one.
[[nodiscard]] std::optional<std::uint32_t> sequence_of(Bytes datagram);

}  // namespace warder::identity
