#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "client_fixture.h"

namespace warder::testing {
namespace {

using std::chrono::milliseconds;
using Event = opa::ClientEvent::Kind;

class BreakerFixture : public ClientFixture {
 public:
  void start_with(opa::ClientOptions options) {
    options.breaker_failures = 3;
    options.on_event = [this](const opa::ClientEvent& event) { events.push_back(event.kind); };
    start(Kind::unix_socket, std::move(options));
  }
  void open_breaker() {
    stop_server();
    for (int i = 0; i < 3; ++i) CHECK(answer()->error() == Errc::opa_unreachable);
    CHECK(answer()->error() == Errc::opa_breaker_open);
    CHECK(events == std::vector{Event::breaker_opened});
  }
  // A real question's request, not the breaker's own.
  [[nodiscard]] static bool is_question(const std::string& request) {
    return request.starts_with("POST ");
  }

  std::vector<Event> events;
};

TEST_CASE_METHOD(BreakerFixture, "breaker: opens, and closes when OPA is there again", "[opa]") {
  start_with({.breaker_pause = milliseconds(50)});
  CHECK(answer()->allowed());
  open_breaker();
  CHECK(read("/v1/data/a")->error() == Errc::opa_breaker_open);
  start_server();
  const auto since = std::chrono::steady_clock::now();
  REQUIRE(run_until([&] { return events.size() == 2; }));
  CHECK(std::chrono::steady_clock::now() - since < milliseconds(1000));
  CHECK(events.back() == Event::breaker_closed);
  REQUIRE(server->requests.size() == 1);
  CHECK(server->requests[0].starts_with("GET /health HTTP/1.1\r\n"));
  CHECK(answer()->allowed());
}

TEST_CASE_METHOD(BreakerFixture, "breaker: nobody waits for an OPA that hangs", "[opa]") {
  start_with(
      {.timeout = milliseconds(300), .max_connections = 3, .breaker_pause = milliseconds(20)});
  server->on_request = [](Peer&) {};
  std::vector<std::unique_ptr<Asked>> all;
  for (int i = 0; i < 5; ++i) all.push_back(ask());
  REQUIRE(run_until([&] { return all[4]->done() && all[0]->done(); }));
  for (int i = 0; i < 3; ++i) CHECK(all[static_cast<std::size_t>(i)]->error() == Errc::opa_timeout);
  const auto refused = ask();
  run_turns(2);
  REQUIRE(refused->done());
  CHECK(refused->error() == Errc::opa_breaker_open);
  // Its own attempts hang too, one after the other, and only they are made.
  const auto asked_before = server->requests.size();
  REQUIRE(run_until([&] { return server->requests.size() >= asked_before + 3; }));
  for (std::size_t i = asked_before; i < server->requests.size(); ++i) {
    CHECK_FALSE(is_question(server->requests[i]));
  }
  server->on_request = [](Peer& peer) { peer.send(response(kAllow)); };
  REQUIRE(run_until([&] { return events.size() == 2; }));
  CHECK(answer()->allowed());
}

TEST_CASE_METHOD(BreakerFixture, "breaker: those that wait for a connection are told", "[opa]") {
  start_with({.timeout = milliseconds(5000), .max_connections = 1});
  std::vector<Peer*> asked;
  server->on_request = [&](Peer& peer) { asked.push_back(&peer); };
  std::vector<std::unique_ptr<Asked>> all;
  for (int i = 0; i < 4; ++i) all.push_back(ask());
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(run_until([&] { return asked.size() == i + 1; }));
    asked[i]->close();
    REQUIRE(run_until([&] { return all[i]->done(); }));
    CHECK(all[i]->error() == Errc::opa_truncated);
  }
  REQUIRE(run_until([&] { return all[3]->done(); }));
  CHECK(all[3]->error() == Errc::opa_breaker_open);
}

TEST_CASE_METHOD(BreakerFixture, "breaker: an answer of any kind keeps it closed", "[opa]") {
  start_with({});
  const std::string bytes =
      GENERATE(response("{}", "500 Internal Server Error"), response("[]"), response("no"));
  server->on_request = [&](Peer& peer) { peer.send(bytes); };
  for (int i = 0; i < 10; ++i) CHECK(answer()->error() != Errc::opa_breaker_open);
  // And between failures, too.
  for (int i = 0; i < 10; ++i) {
    server->on_request = [&](Peer& peer) {
      if (i % 3 == 2) return peer.send(bytes);
      peer.close();
    };
    CHECK(answer()->error() != Errc::opa_breaker_open);
  }
  CHECK(events.empty());
}

TEST_CASE_METHOD(BreakerFixture, "breaker: the client may go while it is open", "[opa]") {
  start_with({.timeout = milliseconds(50), .breaker_pause = milliseconds(1)});
  open_breaker();
  start_server();
  server->on_request = [](Peer&) {};
  REQUIRE(run_until([&] { return !server->requests.empty(); }));
  client.reset();
  run_for(milliseconds(20));
}

}  // namespace
}  // namespace warder::testing
