#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "identity/netlink_messages.h"
#include "identity/netlink_socket.h"
#include "net/address.h"
#include "net/result.h"

namespace warder::identity {

// Both ends of a socket, as it would show them itself; mapped addresses count as IPv4.
struct SocketEnds {
  net::Endpoint local, remote;
  friend bool operator==(const SocketEnds&, const SocketEnds&) = default;
};

// What one network namespace says of sockets, asked for one by one. Belongs to one thread.
class SocketView {
 public:
  virtual ~SocketView() = default;
  // The sockets with these ends, in any state but LISTEN. Several: one tuple on different
  // interfaces. An error says nothing about any of them, absent ones included.
  [[nodiscard]] virtual Result<std::vector<DiagSocket>> find(
      std::span<const SocketEnds> wanted) = 0;
};

// Asks NETLINK_SOCK_DIAG for exactly the wanted sockets: a few microseconds, however many there
// are in the namespace.
class SockDiag final : public SocketView {
 public:
  // For the network namespace of the calling thread, and for good.
  [[nodiscard]] static Result<SockDiag> open();
  // An error when this kernel does not answer for a socket that is known to be there: without
  // tcp_diag it says of each that there is none.
  [[nodiscard]] static Result<void> check();

  // A socket bound to an interface is shown only to who names that interface: what isn't found is
  // asked for on each interface of the namespace. (One that hides behind an unbound one with the
  // same ends is not seen: two such can't both have completed a handshake with one listener.)
  [[nodiscard]] Result<std::vector<DiagSocket>> find(std::span<const SocketEnds> wanted) override;

 private:
  struct Question {
    SocketEnds ends;
    std::uint32_t interface = 0;
  };
  SockDiag(NetlinkSocket diag, NetlinkSocket links)
      : diag_(std::move(diag)), links_(std::move(links)) {}
  [[nodiscard]] Result<void> ask(std::span<const Question> questions,
                                 std::vector<DiagSocket>& found);
  [[nodiscard]] Result<void> refresh_interfaces();

  NetlinkSocket diag_;
  NetlinkSocket links_;  // hears of every change of an interface
  bool known_ = false;
  std::vector<std::uint32_t> interfaces_;
  std::vector<std::byte> message_;
};

}  // namespace warder::identity
