#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <memory>
#include <string>
#include <vector>

#include "client_fixture.h"
#include "net/socket.h"
#include "tests/support/sockets.h"

namespace warder::testing {
namespace {

using std::chrono::milliseconds;

opa::Query question(const std::string& id) {
  opa::Query query;
  query.request_id = id;
  return query;
}

// Answers with the request's own id as the decision id.
void echo_id(const ScriptedOpa& server, Peer& peer) {
  const std::string& request = server.requests.back();
  constexpr std::string_view kKey = "\"request_id\":\"";
  const auto from = request.find(kKey) + kKey.size();
  const std::string id = request.substr(from, request.find('"', from) - from);
  peer.send(response(R"({"result":{"allow":true},"decision_id":")" + id + "\"}"));
}

TEST_CASE_METHOD(ClientFixture, "client: a connection is used again", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket));
  for (int i = 0; i < 5; ++i) CHECK(answer()->allowed());
  CHECK(server->accepted == 1);
  CHECK(server->requests.size() == 5);
}

TEST_CASE_METHOD(ClientFixture, "client: each question gets its own answer", "[opa]") {
  const std::size_t connections = GENERATE(1U, 3U, 64U);
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.max_connections = connections});
  server->on_request = [this](Peer& peer) { echo_id(*server, peer); };
  std::vector<std::unique_ptr<Asked>> all;
  all.reserve(50);
  for (int i = 0; i < 50; ++i) all.push_back(ask(question("id-" + std::to_string(i))));
  REQUIRE(run_until([&] {
    return std::all_of(all.begin(), all.end(), [](const auto& asked) { return asked->done(); });
  }));
  for (std::size_t i = 0; i < all.size(); ++i) {
    REQUIRE(all[i]->allowed());
    CHECK((*all[i]->result)->decision_id == "id-" + std::to_string(i));
  }
  CHECK(server->accepted <= static_cast<int>(connections));
  // In the order asked, where one connection carries them all.
  if (connections == 1) CHECK(server->requests.back().find("id-49") != std::string::npos);
}

TEST_CASE_METHOD(ClientFixture, "client: no connection, no decision", "[opa]") {
  const auto kind = GENERATE(Kind::tcp, Kind::unix_socket);
  start(kind);
  stop_server();
  const auto asked = answer();
  CHECK(asked->error() == Errc::opa_unreachable);
  CHECK(asked->result->error().sys_errno == (kind == Kind::tcp ? ECONNREFUSED : ENOENT));
  CHECK(asked->detail().starts_with("connecting to "));
}

TEST_CASE_METHOD(ClientFixture, "client: finds OPA again after a restart", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket));
  CHECK(answer()->allowed());
  stop_server();
  CHECK(answer()->error() == Errc::opa_unreachable);
  start_server();
  CHECK(answer()->allowed());
  // And when it was away between two questions only.
  stop_server();
  start_server();
  CHECK(answer()->allowed());
}

TEST_CASE_METHOD(ClientFixture, "retry: a reused connection that ends before an answer", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket));
  CHECK(answer()->allowed());
  const bool reset = GENERATE(false, true);
  server->on_request = [&](Peer& peer) {
    if (peer.number() > 1) return peer.send(response(kAllow));
    if (reset) return peer.reset();
    peer.close();
  };
  CHECK(answer(question("again"))->allowed());
  CHECK(server->accepted == 2);
  REQUIRE(server->requests.size() == 3);
  CHECK(server->requests[1] == server->requests[2]);
}

TEST_CASE_METHOD(ClientFixture, "retry: once, and on a fresh connection", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.max_connections = 4});
  // Four idle connections.
  std::vector<Peer*> held;
  server->on_request = [&](Peer& peer) {
    held.push_back(&peer);
    if (held.size() < 4) return;
    for (Peer* const each : held) each->send(response(kAllow));
  };
  std::vector<std::unique_ptr<Asked>> first;
  first.reserve(4);
  for (int i = 0; i < 4; ++i) first.push_back(ask());
  REQUIRE(run_until([&] { return first[3]->done() && first[0]->done(); }));
  REQUIRE(server->accepted == 4);

  server->on_request = [](Peer& peer) { peer.close(); };
  const auto asked = answer();
  CHECK(asked->error() == Errc::opa_truncated);
  CHECK(server->requests.size() == 6);
  CHECK(server->accepted == 5);
}

TEST_CASE_METHOD(ClientFixture, "retry: not after the first byte of an answer", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket));
  CHECK(answer()->allowed());
  server->on_request = [](Peer& peer) {
    peer.send("H");
    peer.close();
  };
  CHECK(answer()->error() == Errc::opa_truncated);
  CHECK(server->requests.size() == 2);
}

TEST_CASE_METHOD(ClientFixture, "retry: not on a fresh connection", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket));
  server->on_request = [](Peer& peer) { peer.close(); };
  CHECK(answer()->error() == Errc::opa_truncated);
  CHECK(server->requests.size() == 1);
}

TEST_CASE_METHOD(ClientFixture, "retry: not after an answer that is refused", "[opa]") {
  start(Kind::tcp);
  CHECK(answer()->allowed());
  server->on_request = [](Peer& peer) { peer.send(response("{}", "503 Service Unavailable")); };
  CHECK(answer()->error() == Errc::opa_status);
  CHECK(server->requests.size() == 2);
}

TEST_CASE_METHOD(ClientFixture, "idle: a close by OPA is noticed", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket));
  CHECK(answer()->allowed());
  const std::size_t before = open_descriptors();
  server->peers().front()->close();
  // Both ends go, without a question.
  REQUIRE(run_until([&] { return open_descriptors() == before - 2; }));
  server->on_request = [](Peer& peer) { peer.send(response(kAllow)); };
  CHECK(answer()->allowed());
  CHECK(server->requests.size() == 2);
  CHECK(server->accepted == 2);
}

TEST_CASE_METHOD(ClientFixture, "idle: stray bytes close the connection", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket));
  SECTION("with the answer") {
    server->on_request = [](Peer& peer) { peer.send(response(kAllow) + response(kAllow)); };
    CHECK(answer()->allowed());
  }
  SECTION("later") {
    CHECK(answer()->allowed());
    server->peers().front()->send("x");
  }
  SECTION("later, and a question before they were noticed") {
    CHECK(answer()->allowed());
    server->peers().front()->send(response(kAllow));
    server->on_request = [](Peer& peer) { peer.send(response(R"({"result":false})")); };
    CHECK_FALSE(answer()->allowed());
    CHECK(server->accepted == 2);
  }
  CHECK(run_until([&] { return server->ended == 1; }));
}

TEST_CASE_METHOD(ClientFixture, "idle: closed when it was not used for a while", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.idle_timeout = milliseconds(20)});
  CHECK(answer()->allowed());
  CHECK(run_until([&] { return server->ended == 1; }));
  CHECK(answer()->allowed());
}

TEST_CASE_METHOD(ClientFixture, "deadline: late and never", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket),
        {.timeout = milliseconds(500), .max_connections = 1});
  Peer* first = nullptr;
  server->on_request = [&](Peer& peer) { first = &peer; };
  const auto late = ask();
  REQUIRE(run_until([&] { return first != nullptr; }));
  first->send("HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n");
  REQUIRE(run_until([&] { return late->done(); }));
  CHECK(late->error() == Errc::opa_timeout);
  CHECK(late->detail() == "no whole answer within 500 ms (receiving the answer)");
  // The rest would be the answer to another question.
  CHECK(run_until([&] { return server->ended == 1; }));
  server->on_request = [](Peer& peer) { peer.send(response(R"({"result":false})")); };
  const auto next = answer();
  CHECK(next->result->has_value());
  CHECK_FALSE(next->allowed());
  CHECK(server->accepted == 2);
}

TEST_CASE_METHOD(ClientFixture, "deadline: the retry does not begin it anew", "[opa]") {
  start(Kind::tcp, {.timeout = milliseconds(300)});
  // A machine that stands still meanwhile has it ask again.
  bool in_time = false;
  for (int i = 0; i < 5 && !in_time; ++i) {
    server->on_request = [](Peer& peer) { peer.send(response(kAllow)); };
    CHECK(answer()->allowed());
    const int reused = server->accepted;
    const std::size_t before = server->requests.size();
    server->on_request = [reused](Peer& peer) {
      if (peer.number() == reused) peer.close();
    };
    const auto begin = std::chrono::steady_clock::now();
    CHECK(answer()->error() == Errc::opa_timeout);
    in_time = std::chrono::steady_clock::now() - begin < milliseconds(590);
    if (in_time) CHECK(server->requests.size() == before + 2);
  }
  CHECK(in_time);
}

TEST_CASE_METHOD(ClientFixture, "deadline: while connecting", "[opa]") {
  // A listener whose queue is full drops what comes: the connection hangs (listen(2)).
  const auto listener =
      net::listen_tcp({net::IpAddress::v4({127, 0, 0, 1}), 0}, 0, net::PortSharing::exclusive);
  REQUIRE(listener);
  opa::ClientOptions options{.timeout = milliseconds(100)};
  options.address.endpoint = net::local_endpoint(listener->get()).value();
  const auto filler = net::start_connect(options.address.endpoint);
  REQUIRE(filler);
  client = opa::make_client(loop(), options);
  const std::size_t before = open_descriptors();
  const auto asked = answer();
  CHECK(asked->error() == Errc::opa_timeout);
  CHECK(asked->detail() == "no whole answer within 100 ms (connecting)");
  CHECK(run_until([&] { return open_descriptors() == before; }));
}

TEST_CASE_METHOD(ClientFixture, "queue: bounded, and waiting counts for the deadline", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket),
        {.timeout = milliseconds(500), .max_connections = 1, .max_waiting = 2});
  server->on_request = [](Peer&) {};
  const auto carried = ask();
  const auto waiting = ask();
  const auto also_waiting = ask();
  const auto refused = ask();
  REQUIRE(run_until([&] { return refused->done(); }));
  CHECK(refused->error() == Errc::opa_queue_full);
  CHECK_FALSE(carried->done());
  REQUIRE(run_until([&] { return carried->done() && waiting->done() && also_waiting->done(); }));
  CHECK(carried->error() == Errc::opa_timeout);
  CHECK(waiting->error() == Errc::opa_timeout);
  CHECK(also_waiting->error() == Errc::opa_timeout);
  server->on_request = [](Peer& peer) { peer.send(response(kAllow)); };
  CHECK(answer()->allowed());
}

TEST_CASE_METHOD(ClientFixture, "queue: one caller leaves connections for others", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.max_connections = 4});
  std::vector<Peer*> held;
  server->on_request = [&](Peer& peer) { held.push_back(&peer); };
  std::vector<std::unique_ptr<Asked>> many;
  for (int i = 0; i < 8; ++i) many.push_back(ask({}, "many"));
  const auto other = ask({}, "other");
  REQUIRE(run_until([&] { return held.size() == 2; }));
  held[1]->send(response(kAllow));
  REQUIRE(run_until([&] { return other->done(); }));
  CHECK(server->requests.size() == 2);
  // Each that is answered makes room for the next.
  server->on_request = [](Peer& peer) { peer.send(response(kAllow)); };
  held[0]->send(response(kAllow));
  REQUIRE(run_until([&] { return many.back()->done(); }));
  for (const auto& each : many) CHECK(each->allowed());
}

TEST_CASE_METHOD(ClientFixture, "queue: a question given up makes room for the caller's next",
                 "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.max_connections = 4});
  bool silent = true;
  server->on_request = [&](Peer& peer) {
    if (!std::exchange(silent, false)) peer.send(response(kAllow));
  };
  auto given_up = ask({}, "one");
  REQUIRE(run_until([&] { return server->requests.size() == 1; }));
  const auto next = ask({}, "one");
  given_up.reset();
  REQUIRE(run_until([&] { return next->done(); }));
  CHECK(next->allowed());
}

TEST_CASE_METHOD(ClientFixture, "queue: one caller leaves places for others", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.max_connections = 1, .max_waiting = 4});
  Peer* held = nullptr;
  server->on_request = [&](Peer& peer) { held = &peer; };
  std::vector<std::unique_ptr<Asked>> many;
  for (int i = 0; i < 4; ++i) many.push_back(ask({}, "many"));
  const auto refused = ask({}, "many");
  const auto other = ask({}, "other");
  const auto beyond = ask({}, "third");
  REQUIRE(run_until([&] { return refused->done() && beyond->done() && held != nullptr; }));
  CHECK(refused->error() == Errc::opa_queue_full);
  CHECK(refused->detail() == "3 questions of this caller are waiting already");
  CHECK(beyond->error() == Errc::opa_queue_full);
  CHECK(beyond->detail() == "4 questions are waiting already");
  std::vector<int> order;
  server->on_request = [&](Peer& peer) {
    order.push_back(other->done() ? 1 : 0);
    peer.send(response(kAllow));
  };
  held->send(response(kAllow));
  REQUIRE(run_until([&] { return many.back()->done() && other->done(); }));
  // Whose question was on the way has had their turn.
  CHECK(order == std::vector<int>{0, 1, 1, 1});
}

TEST_CASE_METHOD(ClientFixture, "queue: the deadline of one that waits", "[opa]") {
  start(Kind::tcp, {.timeout = milliseconds(500), .max_connections = 1});
  // The one before is answered just too late for the one that waits to get an answer of its own.
  Peer* held = nullptr;
  server->on_request = [&](Peer& peer) { held = &peer; };
  const auto first = ask();
  REQUIRE(run_until([&] { return held != nullptr; }));
  std::unique_ptr<Asked> second;
  second = ask();
  first->call.reset();
  REQUIRE(run_until([&] { return second->done(); }));
  CHECK(second->error() == Errc::opa_timeout);
  CHECK_FALSE(first->done());
}

}  // namespace
}  // namespace warder::testing
