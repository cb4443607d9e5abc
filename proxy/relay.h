#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "net/loop.h"
#include "net/unique_fd.h"
#include "proxy/record.h"

namespace warder::proxy {

struct RelayOptions {
  std::chrono::milliseconds idle{3600000};
  std::chrono::milliseconds drain{
      30000};  // after one side ended, how long the other may go on without a byte
};

struct RelayEnd {
  std::uint64_t bytes_up = 0, bytes_down = 0;
  ClosedBy closed_by = ClosedBy::proxy;
  std::string reason;  // "end", "reset", "idle", "drain", "shutdown"
};

// Moves bytes both ways between two connected sockets until both directions ended. Copies first and
// splices (splice(2)) once a direction has moved a lot, falling back to copying when no pipe is to
// be had; bounded buffers, a byte budget a turn, half-close passed on, one idle clock for both
// directions.
class Relay {
 public:
  virtual ~Relay() = default;
  // Ends now; the callback gets closed_by proxy with `reason`, on a later turn.
  virtual void end(std::string reason) = 0;
  [[nodiscard]] virtual std::uint64_t bytes_up() const = 0;
  [[nodiscard]] virtual std::uint64_t bytes_down() const = 0;
};

// `to_origin` are bytes the client already sent and `to_client` bytes it is still owed (the 200),
// each written before anything read later and counted but for `to_client`. The callback runs once,
// never before relay() has returned, and may destroy the relay.
[[nodiscard]] Result<std::unique_ptr<Relay>> start_relay(
    net::Loop& loop, net::UniqueFd client, net::UniqueFd origin, const std::string& to_origin,
    const std::string& to_client, RelayOptions options, std::function<void(RelayEnd)> callback);

}  // namespace warder::proxy
