#include "proxy/dialer.h"

#include <catch2/catch_test_macros.hpp>
#include <optional>

#include "net/socket.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/sockets.h"

namespace warder::proxy {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

net::IpAddress parsed(std::string_view text) { return net::IpAddress::parse(text).value(); }

// A port where connecting neither succeeds nor fails: the backlog is full, and Linux drops what
// comes on top of it.
class BlackHole {
 public:
  explicit BlackHole(const net::Endpoint& at)
      : listener_(net::listen_tcp(at, 0, net::PortSharing::exclusive).value()),
        at_(net::local_endpoint(listener_.get()).value()) {
    for (auto& filler : fillers_) filler = net::start_connect(at_).value();
  }
  [[nodiscard]] const net::Endpoint& at() const { return at_; }

 private:
  net::UniqueFd listener_;
  net::Endpoint at_;
  std::array<net::UniqueFd, 4> fillers_;
};

class DialFixture : public testing::LoopFixture {
 protected:
  void start(std::vector<net::IpAddress> addresses, std::uint16_t port,
             milliseconds timeout = milliseconds(10000)) {
    started = Clock::now();
    attempt = dial(loop(), std::move(addresses), port, timeout, [this](Result<Dialled> given) {
      CHECK_FALSE(result.has_value());
      result = std::move(given);
      took = Clock::now() - started;
    });
    CHECK_FALSE(result.has_value());
  }
  [[nodiscard]] bool finish() {
    return run_until([this] { return result.has_value(); });
  }

  // To the end, within that time. A machine that stands still meanwhile has it dial again.
  void dial_within(milliseconds limit, const std::vector<net::IpAddress>& addresses,
                   std::uint16_t port, milliseconds timeout = milliseconds(10000)) {
    for (int i = 0; i < 5; ++i) {
      result.reset();
      start(addresses, port, timeout);
      REQUIRE(finish());
      if (took < limit) return;
    }
    CHECK(took < limit);
  }

  std::unique_ptr<Dial> attempt;
  std::optional<Result<Dialled>> result;
  Clock::time_point started;
  Clock::duration took{};
};

TEST_CASE_METHOD(DialFixture, "Dial connects") {
  const auto listener = testing::listen_somewhere();
  start({listener.at.address}, listener.at.port);
  REQUIRE(finish());
  REQUIRE(result->has_value());
  CHECK((*result)->origin == listener.at);
  CHECK(net::peer_endpoint((*result)->fd.get()).value() == listener.at);
}

TEST_CASE_METHOD(DialFixture, "Dial goes on at once when an address refuses") {
  const auto listener = testing::listen_somewhere();
  dial_within(milliseconds(200),
              {parsed("127.0.0.2"), parsed("127.0.0.3"), parsed("127.0.0.4"), listener.at.address},
              listener.at.port);
  REQUIRE(result->has_value());
  CHECK((*result)->origin == listener.at);
}

TEST_CASE_METHOD(DialFixture, "Dial waits a quarter of a second for a black-holed IPv6 address") {
  const auto listener = testing::listen_somewhere();
  const BlackHole hole({parsed("::1"), listener.at.port});
  // The second IPv6 address is not tried before the IPv4 one: families take turns.
  dial_within(milliseconds(450), {parsed("::1"), parsed("::1"), listener.at.address},
              listener.at.port);
  REQUIRE(result->has_value());
  CHECK((*result)->origin == listener.at);
  CHECK(took >= milliseconds(240));
}

TEST_CASE_METHOD(DialFixture, "Dial has one deadline for all addresses") {
  const BlackHole hole({parsed("127.0.0.1"), 0});
  dial_within(milliseconds(800), {parsed("127.0.0.1"), parsed("127.0.0.1"), parsed("127.0.0.1")},
              hole.at().port, milliseconds(400));
  REQUIRE_FALSE(result->has_value());
  CHECK(result->error().code == Errc::timed_out);
  CHECK(took >= milliseconds(390));
}

TEST_CASE_METHOD(DialFixture, "Dial reports the last refusal with its address") {
  const auto closed = testing::closed_port();
  start({parsed("127.0.0.2"), parsed("127.0.0.1")}, closed.port);
  REQUIRE(finish());
  REQUIRE_FALSE(result->has_value());
  CHECK(result->error().sys_errno == ECONNREFUSED);
  CHECK(result->error().detail.find("127.0.0.1:") != std::string::npos);
}

TEST_CASE_METHOD(DialFixture, "Dial to an address that fails at once still calls back later") {
  start({parsed("255.255.255.255")}, 1);
  REQUIRE(finish());
  REQUIRE_FALSE(result->has_value());
  CHECK(result->error().sys_errno != 0);
}

TEST_CASE_METHOD(DialFixture, "Dial that is destroyed never calls back and closes its attempts") {
  const BlackHole hole({parsed("127.0.0.1"), 0});
  const std::size_t before = testing::open_descriptors();
  start({parsed("127.0.0.1"), parsed("127.0.0.1")}, hole.at().port, milliseconds(200));
  run_turns(3);
  CHECK(testing::open_descriptors() == before + 1);
  attempt.reset();
  CHECK(testing::open_descriptors() == before);
  run_for(milliseconds(300));
  CHECK_FALSE(result.has_value());
}

TEST_CASE_METHOD(DialFixture, "Dial's callback may destroy it") {
  const auto listener = testing::listen_somewhere();
  std::unique_ptr<Dial> own;
  bool called = false;
  own = dial(loop(), {listener.at.address}, listener.at.port, milliseconds(1000),
             [&](const Result<Dialled>& given) {
               CHECK(given.has_value());
               own.reset();
               called = true;
             });
  CHECK(run_until([&] { return called; }));
}

}  // namespace
}  // namespace warder::proxy
