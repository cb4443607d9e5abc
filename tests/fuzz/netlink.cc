#include <cstddef>
#include <cstdint>
#include <vector>

#include "identity/netlink_messages.h"
#include "require.h"

namespace identity = warder::identity;

// Every parser gets every datagram. It is exactly as long as it says: what is read past its end is
// seen by the address sanitizer.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto* first = reinterpret_cast<const std::byte*>(data);
  const std::vector<std::byte> copy(first, first + size);
  const identity::Bytes datagram(copy);
  const std::uint32_t sequence = identity::sequence_of(datagram).value_or(7);
  const auto socket = identity::parse_diag_reply(datagram, sequence);
  if (socket && *socket) {
    REQUIRE_THAT(size >= 16 + 72);
    REQUIRE_THAT((*socket)->local.address.is_v4() == (*socket)->remote.address.is_v4());
  }
  REQUIRE_THAT(!identity::parse_diag_reply(datagram, sequence + 1));
  const auto dialled = identity::parse_conntrack_reply(datagram, sequence);
  if (dialled && *dialled) {
    REQUIRE_THAT(!socket);
    REQUIRE_THAT((*dialled)->local.address.is_v4() == (*dialled)->remote.address.is_v4());
  }
  std::vector<std::uint32_t> interfaces;
  (void)identity::parse_interfaces_reply(datagram, sequence, interfaces);
  REQUIRE_THAT(interfaces.size() <= size / 32);
  return 0;
}
