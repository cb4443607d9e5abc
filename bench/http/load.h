#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "histogram.h"
#include "net/address.h"
#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::bench {

using Clock = std::chrono::steady_clock;

// The same request over and over, and what its answer must be.
struct Exchange {
  std::string request;                // head and body
  std::optional<std::string> body;    // of the answer; nullopt: only its length is looked at
  std::optional<std::size_t> length;  // of the answer's body; nullopt: that of the first one
  std::chrono::nanoseconds pause{};   // after each answer; only for a single connection
};

// An address, or the path of a Unix socket.
using Server = std::variant<net::Endpoint, std::string>;

struct Tally {
  std::chrono::nanoseconds time{};
  std::uint64_t requests = 0;  // answered in that time
  std::uint64_t reconnects = 0;
  Histogram latency;  // from the request's first byte written to the answer's last byte read
};

// Keep-alive connections, each with one request under way at any time (a closed loop), in the
// caller's thread.
class Load {
 public:
  [[nodiscard]] static Result<Load> connect(Server server, Exchange exchange,
                                            std::size_t connections);
  // Until `time` is up and there are `at_least` answers; what is under way then goes on in the next
  // call. Errors: bad_request, an answer that is not 200 or not of the right length or content;
  // timed_out, none for 10 s, or not enough within a minute; and those of sockets.
  [[nodiscard]] Result<Tally> run(std::chrono::nanoseconds time, std::uint64_t at_least);

 private:
  struct Connection {
    net::UniqueFd fd;
    std::size_t sent = 0;
    std::string head;  // a part of the answer's
    bool in_body = false;
    std::size_t body_left = 0;
    std::string body;  // while it is compared
    Clock::time_point began;
  };

  Load(Server server, Exchange exchange);
  [[nodiscard]] Result<void> open(std::size_t index);
  [[nodiscard]] Result<void> go_on(Connection& connection, unsigned events, Tally& tally);
  [[nodiscard]] Result<void> reconnect(Connection& connection, Tally& tally);
  [[nodiscard]] Result<void> send(Connection& connection) const;
  [[nodiscard]] Result<void> take(Connection& connection, std::string_view bytes, Tally& tally);
  [[nodiscard]] Result<void> take_head(Connection& connection, std::string_view& bytes);
  [[nodiscard]] Result<void> finish(Connection& connection, Tally& tally) const;

  Server server_;
  Exchange exchange_;
  net::UniqueFd epoll_;
  std::vector<Connection> connections_;
  std::vector<char> buffer_ = std::vector<char>(262'144);
};

}  // namespace warder::bench
