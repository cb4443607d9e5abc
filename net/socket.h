#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "net/address.h"
#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::net {

// Non-blocking, close-on-exec sockets. Every function returns at once.

// Bytes moved, or why none were. `would_block` and `end` are outcomes, not errors.
struct Transfer {
  std::size_t bytes = 0;
  bool would_block = false;
  bool end = false;  // read only: orderly end of stream
};

// SO_REUSEADDR always; SO_REUSEPORT when `share_port`. IPv6 listeners are IPV6_V6ONLY unless the
// address is "::". Errors: system, out_of_descriptors, not_permitted.
enum class PortSharing { exclusive, shared };
[[nodiscard]] Result<UniqueFd> listen_tcp(const Endpoint& at, int backlog, PortSharing sharing);

// nullopt when nothing is waiting. Connections that died in the backlog (accept(2), "Error
// handling": ECONNABORTED, EPROTO, ENETDOWN, …) are skipped, a bounded number of times.
struct Accepted {
  UniqueFd fd;
  Endpoint peer;
};
[[nodiscard]] Result<std::optional<Accepted>> accept_tcp(int listener);

// Starts a connection; it is up when the socket is writable and so_error() is 0.
[[nodiscard]] Result<UniqueFd> start_connect(const Endpoint& to);
[[nodiscard]] Result<UniqueFd> start_connect_unix(const std::string& path);

[[nodiscard]] Result<Transfer> read_some(int fd, std::span<char> into);
// Never raises SIGPIPE.
[[nodiscard]] Result<Transfer> write_some(int fd, std::span<const char> bytes);

// The pending error, cleared by reading it; 0 when there is none.
[[nodiscard]] int so_error(int fd);
[[nodiscard]] Result<Endpoint> local_endpoint(int fd);
[[nodiscard]] Result<Endpoint> peer_endpoint(int fd);
// Where the client wanted to go before a REDIRECT or DNAT in this namespace (SO_ORIGINAL_DST,
// netfilter_ipv4.h); nullopt when nothing was translated, or it equals the local endpoint.
[[nodiscard]] std::optional<Endpoint> original_destination(int fd);

// How many of the bytes written the other end's kernel has acknowledged; known also after a reset
// (tcpi_bytes_acked of linux/tcp.h).
[[nodiscard]] Result<std::uint64_t> bytes_acknowledged(int fd);

void shutdown_write(int fd);
void set_nodelay(int fd);
// A peer that says nothing for a minute is asked, and one that answers none of four probes in
// another minute is gone (tcp(7), TCP_KEEPIDLE).
void set_keepalive(int fd);
// The next close sends a reset instead of an orderly end (SO_LINGER with 0, socket(7)).
void reset_on_close(int fd);

}  // namespace warder::net
