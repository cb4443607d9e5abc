#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "identity/netlink_messages.h"
#include "identity/netlink_socket.h"
#include "net/address.h"
#include "net/result.h"

namespace warder::identity {

// Asks NETLINK_SOCK_DIAG for exactly the wanted sockets: a few microseconds, however many there
// are in the namespace. Belongs to one thread at a time.
class SockDiag {
 public:
  // For the network namespace of the calling thread, and for good.
  [[nodiscard]] static Result<SockDiag> open();
  // An error when this kernel does not answer for a socket that is known to be there: without
  // tcp_diag it says of each that there is none.
  [[nodiscard]] static Result<void> check();

  // Whether sockets bound to an interface (SO_BINDTODEVICE, or a link-local address) are looked
  // for: they are shown only to who names the interface. `seen_at_once`: where the interfaces would
  // have to be asked for, or are too many to ask about each, that is an error (cancelled).
  enum class Bound { seen, seen_at_once, ignored };
  // The sockets with these ends, in any state but LISTEN. Several with the same ends: bound to
  // different interfaces. An error says nothing about any of them, absent ones included. What is
  // bound and hides behind an unbound socket with the same ends is not seen: two such can't both
  // have completed a handshake with one listener.
  [[nodiscard]] Result<std::vector<DiagSocket>> find(std::span<const SocketEnds> wanted,
                                                     Bound bound);

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
