#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <memory>
#include <string>
#include <vector>

#include "client_fixture.h"

namespace warder::testing {
namespace {

using std::chrono::milliseconds;

TEST_CASE_METHOD(ClientFixture, "cancel: while waiting", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.max_connections = 1});
  const auto first = ask();
  const auto waiting = ask();
  const auto last = ask();
  waiting->call.reset();
  REQUIRE(run_until([&] { return first->done() && last->done(); }));
  CHECK(server->requests.size() == 2);
  CHECK_FALSE(waiting->done());
}

TEST_CASE_METHOD(ClientFixture, "cancel: while connecting, the connection is kept", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket));
  const auto cancelled = ask();
  cancelled->call.reset();
  const bool at_once = GENERATE(false, true);
  if (!at_once) REQUIRE(run_until([&] { return server->accepted == 1; }));
  CHECK(answer()->allowed());
  CHECK_FALSE(cancelled->done());
  CHECK(server->accepted == 1);
  CHECK(server->requests.size() == 1);
}

TEST_CASE_METHOD(ClientFixture, "cancel: once asked, the connection goes", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.max_connections = 1});
  const std::string part = GENERATE("", "H", "HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n{");
  bool asked_once = false;
  server->on_request = [&](Peer& peer) {
    asked_once = true;
    peer.send(part);
  };
  const auto cancelled = ask();
  const auto next = ask();
  REQUIRE(run_until([&] { return asked_once; }));
  run_turns(3);
  server->on_request = [](Peer& peer) { peer.send(response(kAllow)); };
  cancelled->call.reset();
  REQUIRE(run_until([&] { return next->done() && server->ended == 1; }));
  CHECK(next->allowed());
  CHECK(server->accepted == 2);
  CHECK_FALSE(cancelled->done());
}

TEST_CASE_METHOD(ClientFixture, "cancel: with the question half sent", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.timeout = milliseconds(10000)});
  opa::Query query;
  query.ancestors.assign(1000, std::string(8000, 'a'));
  const auto cancelled = ask(query);
  REQUIRE(run_until([&] { return server->accepted == 1; }));
  cancelled->call.reset();
  CHECK(run_until([&] { return server->ended == 1; }));
  CHECK(server->requests.empty());
  CHECK(answer()->allowed());
}

TEST_CASE_METHOD(ClientFixture, "cancel: with a result already due", "[opa]") {
  start(Kind::unix_socket);
  stop_server();
  // Fails at once, so its result is posted.
  const auto cancelled = ask();
  cancelled->call.reset();
  const auto other = answer();
  CHECK(other->error() == Errc::opa_unreachable);
  CHECK_FALSE(cancelled->done());
}

TEST_CASE_METHOD(ClientFixture, "cancel: a hung question makes room", "[opa]") {
  start(Kind::tcp, {.max_connections = 1});
  server->on_request = [](Peer&) {};
  std::vector<std::unique_ptr<Asked>> hung;
  for (int i = 0; i < 20; ++i) {
    hung.push_back(ask());
    REQUIRE(run_until([&] { return server->requests.size() == hung.size(); }));
    hung.back()->call.reset();
  }
  server->on_request = [](Peer& peer) { peer.send(response(kAllow)); };
  CHECK(answer()->allowed());
  CHECK(run_until([&] { return server->ended == 20; }));
}

TEST_CASE_METHOD(ClientFixture, "client gone: what is under way is cancelled", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.max_connections = 2});
  server->on_request = [](Peer&) {};
  const auto sent = ask();
  REQUIRE(run_until([&] { return server->requests.size() == 1; }));
  const auto connecting = ask();
  const auto waiting = ask();
  const auto dropped = ask();
  client.reset();
  CHECK(sent->answers == 0);  // never on the stack of the destructor
  dropped->call.reset();
  REQUIRE(run_until([&] { return sent->done() && connecting->done() && waiting->done(); }));
  CHECK(sent->error() == Errc::cancelled);
  CHECK(connecting->error() == Errc::cancelled);
  CHECK(waiting->error() == Errc::cancelled);
  CHECK_FALSE(dropped->done());
}

TEST_CASE_METHOD(ClientFixture, "client gone: idle connections are closed", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket));
  CHECK(answer()->allowed());
  client.reset();
  CHECK(run_until([&] { return server->ended == 1; }));
}

TEST_CASE_METHOD(ClientFixture, "client gone: with a failed result due", "[opa]") {
  start(Kind::unix_socket);
  stop_server();
  const auto asked = ask();
  client.reset();
  REQUIRE(run_until([&] { return asked->done(); }));
  CHECK(asked->error() == Errc::opa_unreachable);
  CHECK(asked->answers == 1);
}

// In a callback everything may be destroyed, whatever brought the result.
enum class Brought { answer, loss, deadline, refused_connection, full_queue };

TEST_CASE_METHOD(ClientFixture, "callback: may destroy the call and the client", "[opa]") {
  const auto brought = GENERATE(Brought::answer, Brought::loss, Brought::deadline,
                                Brought::refused_connection, Brought::full_queue);
  const bool client_too = GENERATE(false, true);
  const bool full = brought == Brought::full_queue;
  start(Kind::unix_socket, {.timeout = milliseconds(brought == Brought::deadline ? 50 : 10000),
                            .max_connections = 1,
                            .max_waiting = full ? std::size_t{0} : 10});
  server->on_request = [&](Peer& peer) {
    if (brought == Brought::answer) peer.send(response(kAllow));
    if (brought == Brought::loss) peer.close();
  };
  if (brought == Brought::refused_connection) stop_server();
  const auto holder = full ? ask() : nullptr;
  bool called = false;
  std::unique_ptr<opa::Call> call;
  call = client->ask({}, [&](const Result<opa::Decision>& result) {
    called = true;
    CHECK(result.has_value() == (brought == Brought::answer));
    call.reset();
    if (client_too) client.reset();
  });
  REQUIRE(run_until([&] { return called; }));
}

TEST_CASE_METHOD(ClientFixture, "callback: may ask again", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.max_connections = 1});
  std::vector<std::unique_ptr<opa::Call>> calls;
  int answers = 0;
  opa::Client::Callback again = [&](const Result<opa::Decision>& result) {
    REQUIRE(result);
    if (++answers < 5) calls.push_back(client->ask({}, again));
  };
  calls.push_back(client->ask({}, again));
  REQUIRE(run_until([&] { return answers == 5; }));
  CHECK(server->accepted == 1);
}

}  // namespace
}  // namespace warder::testing
