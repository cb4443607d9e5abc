#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "net/socket.h"
#include "proxy/relay.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/sockets.h"

namespace warder::proxy {

// The far end of one of the relay's connections: sends what it is given, keeps what it gets.
struct Peer {
  net::UniqueFd fd;
  std::string to_send;
  std::size_t sent = 0;
  bool end_after = false;  // shut the write side down when all is sent
  bool reading = true;
  std::string got;
  bool ended = false;  // the stream was ended in order
  int broken = 0;      // or with this errno

  void step();
};

class RelayFixture : public testing::LoopFixture {
 protected:
  // `make_pair` makes the two connections; the relay gets the near ends.
  void connect(testing::Pair client_pair, testing::Pair origin_pair) {
    client.fd = std::move(client_pair.far);
    origin.fd = std::move(origin_pair.far);
    near_client = std::move(client_pair.near);
    near_origin = std::move(origin_pair.near);
  }
  void connect_tcp() { connect(testing::tcp_pair(), testing::tcp_pair()); }
  void start(RelayOptions options = {}, std::string to_origin = {}, std::string to_client = {});

  // Runs loop and peers until `done()`.
  [[nodiscard]] bool pump_until(const std::function<bool()>& done);
  [[nodiscard]] bool pump_to_the_end() {
    return pump_until([this] { return end.has_value(); });
  }

  Peer client;
  Peer origin;
  net::UniqueFd near_client, near_origin;
  std::unique_ptr<Relay> relay;
  std::optional<RelayEnd> end;
};

// Bytes that look like no part of themselves.
[[nodiscard]] std::string noise(std::size_t size, unsigned seed);

}  // namespace warder::proxy
