#include <sys/socket.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <chrono>
#include <string>

#include "net/socket.h"
#include "net/timer.h"
#include "tests/component/proxy/gate_fixture.h"

namespace {

namespace proxy = warder::proxy;
namespace net = warder::net;
namespace identity = warder::identity;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;
using warder::testing::allow_decision;
using warder::testing::deny_decision;
using warder::testing::GateFixture;
using warder::testing::known_caller;

constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

warder::opa::Decision lasting_decision() {
  warder::opa::Decision decision = allow_decision();
  decision.max_age = 10;
  decision.revision = "1";
  return decision;
}

// Forwarded requests over one connection of the gate, one step after the other.
class ForwardFixture : public GateFixture {
 public:
  [[nodiscard]] std::string get(std::string_view path) const {
    const std::string at = origin.at.text();
    return "GET http://" + at + std::string(path) + " HTTP/1.1\r\nHost: " + at + "\r\n\r\n";
  }
  void identify(identity::Identity caller = known_caller()) {
    wait_for([this] { return resolver.first.open() == 1; });
    resolver.first.answer(std::move(caller));
  }
  void decide(warder::opa::Decision decision) {
    wait_for([this] { return opa.calls.open() == 1; });
    opa.calls.answer(std::move(decision));
  }
  void confirm() {
    wait_for([this] { return resolver.second.open() == 1; });
    resolver.second.answer(std::nullopt);
  }
  void approve() {
    identify();
    decide(allow_decision());
    confirm();
  }
  [[nodiscard]] net::UniqueFd accept() {
    net::UniqueFd fd;
    wait_for([&] {
      fd = accept_origin();
      return static_cast<bool>(fd);
    });
    return fd;
  }
  // What the origin is sent next, up to an empty line.
  std::string read_head(const net::UniqueFd& far) {
    std::string head;
    wait_for([&] {
      warder::testing::read_available(far.get(), head);
      return head.ends_with("\r\n\r\n");
    });
    return head;
  }
  void say(const net::UniqueFd& far, std::string_view bytes) {
    REQUIRE(warder::testing::write_available(far.get(), bytes) == bytes.size());
  }
  // Reads on until the client has all of an answer that ends so.
  std::string answer(std::string_view end) {
    std::string got;
    wait_for([&] {
      warder::testing::read_available(client.get(), got);
      return got.ends_with(end);
    });
    return got;
  }
  // OPA decides so, and the origin answers over a new connection.
  net::UniqueFd be_answered(const warder::opa::Decision& decision) {
    decide(decision);
    confirm();
    net::UniqueFd far = accept();
    read_head(far);
    say(far, kAnswer);
    answer("ok");
    return far;
  }
};

TEST_CASE_METHOD(ForwardFixture, "a request is forwarded, and its answer comes back") {
  begin();
  send(get("/a?b"));
  approve();
  const net::UniqueFd far = accept();
  CHECK(read_head(far) ==
        "GET /a?b HTTP/1.1\r\nHost: " + origin.at.text() + "\r\nVia: 1.1 warder-test\r\n\r\n");
  say(far, kAnswer);
  const std::string got = answer("ok");
  CHECK_THAT(got, StartsWith("HTTP/1.1 200 OK\r\n"));
  CHECK_THAT(got, ContainsSubstring("Warder-Decision-Id: decision-1\r\n"));
  REQUIRE(opa.queries.size() == 1);
  CHECK(opa.queries[0].request.path == "/a");
  CHECK_THAT(opa.queries[0].request.traceparent,
             StartsWith("00-" + opa.queries[0].request_id + "-"));
  CHECK(opa.queries[0].request.query == "b");
  REQUIRE(records.decisions.size() == 1);
  CHECK(records.decisions[0].code == "allowed");
  CHECK(records.decisions[0].status == 200);
  REQUIRE(records.tunnels.size() == 1);
  CHECK(records.tunnels[0].close_reason == "end");
}

TEST_CASE_METHOD(ForwardFixture, "each of two requests in one packet is decided on its own") {
  begin();
  send(get("/a") + get("/secret"));
  approve();
  const net::UniqueFd far = accept();
  CHECK_THAT(read_head(far), StartsWith("GET /a "));
  CHECK(opa.calls.asked() == 1);
  say(far, kAnswer);
  answer("ok");
  identify();
  decide(deny_decision());
  CHECK_THAT(answer("}\n"), StartsWith("HTTP/1.1 403 Forbidden (denied)\r\n"));
  CHECK(opa.queries.at(1).request.path == "/secret");
  std::string more;
  run_turns(5);
  warder::testing::read_available(far.get(), more);
  CHECK(more.empty());
  CHECK_FALSE(closed());
}

TEST_CASE_METHOD(ForwardFixture, "a connection to the origin is for one caller only") {
  begin();
  send(get("/1"));
  approve();
  const net::UniqueFd far = accept();
  read_head(far);
  say(far, kAnswer);
  answer("ok");
  send(get("/2"));
  approve();
  CHECK_THAT(read_head(far), StartsWith("GET /2 "));
  say(far, kAnswer);
  answer("ok");
  send(get("/3"));
  identity::Identity other = known_caller();
  other.processes[0].binary = "/usr/bin/wget";
  identify(other);
  decide(allow_decision());
  confirm();
  const net::UniqueFd another = accept();
  CHECK_THAT(read_head(another), StartsWith("GET /3 "));
}

TEST_CASE_METHOD(ForwardFixture, "an answer that may be reused is not asked for again") {
  begin();
  send(get("/1"));
  identify();
  const net::UniqueFd far = be_answered(lasting_decision());
  send(get("/1"));
  identify();
  CHECK_THAT(read_head(far), StartsWith("GET /1 "));
  CHECK(opa.calls.asked() == 1);
  CHECK(resolver.second.asked() == 1);
  say(far, kAnswer);
  answer("ok");
  CHECK(records.decisions.at(1).reused);
  CHECK(records.decisions.at(1).subject.decision_id == "decision-1");
  send(get("/2"));
  identify();
  wait_for([this] { return opa.calls.open() == 1; });
}

TEST_CASE_METHOD(ForwardFixture, "an answer under way when the policy changed is not kept") {
  begin();
  send(get("/1"));
  identify();
  wait_for([this] { return opa.calls.open() == 1; });
  reuse.saw_revision("2");
  const net::UniqueFd far = be_answered(lasting_decision());
  send(get("/1"));
  identify();
  wait_for([this] { return opa.calls.open() == 1; });
}

TEST_CASE_METHOD(ForwardFixture, "what is reused for an early look is looked at again") {
  const warder::opa::Decision lasting = lasting_decision();
  begin();
  send("CONNECT " + origin.at.text() + " HTTP/1.0\r\n\r\n");
  identify();
  wait_for([this] { return opa.calls.open() == 1; });
  reuse.remember(warder::opa::reuse_key(opa.queries.at(0)), lasting);
  opa.calls.answer(deny_decision());
  read_answer();
  wait_for([this] { return closed(); });
  // The next one has services of its own.
  run_turns(3);
  reuse.remember(warder::opa::reuse_key(opa.queries.at(0)), lasting);
  begin();
  send("CONNECT " + origin.at.text() + " HTTP/1.0\r\n\r\n");
  identify();
  wait_for([this] { return resolver.second.open() == 1; });
  resolver.second.answer(identity::Change{"another program has it", true, false});
  CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 403 Forbidden (client_raced)\r\n"));
  CHECK(opa.calls.asked() == 1);
}

TEST_CASE_METHOD(ForwardFixture, "an answer that is cut short is not taken for a whole one") {
  begin();
  send(get("/"));
  approve();
  net::UniqueFd far = accept();
  read_head(far);
  say(far, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  answer("half");
  far.reset();
  wait_for([this] { return closed(); });
  wait_for([this] {
    char byte = 0;
    const auto got = net::read_some(client.get(), {&byte, 1});
    REQUIRE((!got || got->would_block));
    return !got;
  });
  CHECK(records.tunnels.at(0).close_reason == "origin_closed");
}

TEST_CASE_METHOD(ForwardFixture, "an answer before the request is whole ends the connection") {
  begin();
  const std::string at = origin.at.text();
  send("POST http://" + at + "/ HTTP/1.1\r\nHost: " + at + "\r\nContent-Length: 10\r\n\r\nhalf");
  approve();
  const net::UniqueFd far = accept();
  std::string got;
  wait_for([&] {
    warder::testing::read_available(far.get(), got);
    return got.ends_with("half");
  });
  say(far, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
  CHECK_THAT(read_answer(), ContainsSubstring("Connection: close\r\n"));
}

TEST_CASE_METHOD(ForwardFixture, "an origin that says nothing that is HTTP is 502") {
  begin();
  send(get("/"));
  approve();
  const net::UniqueFd far = accept();
  read_head(far);
  say(far, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
  CHECK_THAT(answer("}\n"), StartsWith("HTTP/1.1 502 Bad Gateway (bad_response)\r\n"));
}

TEST_CASE_METHOD(ForwardFixture,
                 "a refused HEAD has no body, so that the next answer is where it belongs") {
  begin();
  const std::string at = origin.at.text();
  send("HEAD http://" + at + "/ HTTP/1.1\r\nHost: " + at + "\r\n\r\n" + get("/next"));
  identify();
  decide(deny_decision());
  CHECK_THAT(answer("\r\n\r\n"), StartsWith("HTTP/1.1 403 Forbidden (denied)\r\n"));
  identify();
  decide(deny_decision());
  CHECK_THAT(answer("}\n"), StartsWith("HTTP/1.1 403 Forbidden (denied)\r\n"));
}

TEST_CASE_METHOD(ForwardFixture, "callers that nobody knows share no connection") {
  identity::Identity nobody;
  nobody.reason = identity::Reason::socket_not_found;
  begin();
  for (int i = 0; i < 2; ++i) {
    send(get("/"));
    identify(nobody);
    decide(allow_decision());
    const net::UniqueFd far = accept();
    read_head(far);
    say(far, kAnswer);
    answer("ok");
  }
  CHECK(upstreams.size() == 0);
}

TEST_CASE_METHOD(ForwardFixture, "a reader that stops before the end holds up nobody else") {
  buffers = 4096;
  begin();
  send(get("/"));
  approve();
  const net::UniqueFd far = accept();
  read_head(far);
  // The first part that is read fills the socket to the client; the second is the end.
  const std::string body(90000, 'x');
  say(far, "HTTP/1.1 200 OK\r\nContent-Length: 90000\r\n\r\n" + body);
  run_turns(50);
  CHECK_THAT(answer(body), StartsWith("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE_METHOD(ForwardFixture, "an upload to an origin that stops is waited for at rest") {
  begin();
  const std::string at = origin.at.text();
  send("POST http://" + at + "/ HTTP/1.1\r\nHost: " + at + "\r\nContent-Length: 99999999\r\n\r\n");
  approve();
  const net::UniqueFd far = accept();
  // Until nobody takes any more.
  const std::string part(65536, 'x');
  for (int idle = 0; idle < 20;) {
    idle = warder::testing::write_available(client.get(), part) > 0 ? 0 : idle + 1;
    run_turns(2);
  }
  net::Timer end(loop(), [] {});
  end.start(std::chrono::milliseconds(200));
  int turns = 0;
  while (end.active()) {
    uv_run(loop().uv(), UV_RUN_ONCE);
    ++turns;
  }
  CHECK(turns < 50);
}

TEST_CASE_METHOD(ForwardFixture, "an answer that stalls is cut after timeouts.idle") {
  config.timeouts.idle = std::chrono::milliseconds(50);
  begin();
  send(get("/"));
  approve();
  const net::UniqueFd far = accept();
  read_head(far);
  say(far, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  answer("half");
  wait_for([this] { return closed(); });
  CHECK(records.tunnels.at(0).close_reason == "response_timeout");
  CHECK(records.tunnels.at(0).closed_by == proxy::ClosedBy::proxy);
}

TEST_CASE_METHOD(ForwardFixture, "a client that has left is not waited for") {
  config.timeouts.drain = std::chrono::milliseconds(50);
  begin();
  send(get("/"));
  approve();
  const net::UniqueFd far = accept();
  read_head(far);
  client.reset();
  wait_for([this] { return closed(); });
  CHECK(records.decisions.at(0).code == "client_gone");
}

TEST_CASE_METHOD(ForwardFixture, "a request that is read and then reset is not sent again") {
  begin();
  send(get("/1"));
  approve();
  net::UniqueFd far = accept();
  read_head(far);
  say(far, kAnswer);
  answer("ok");
  send(get("/2"));
  approve();
  read_head(far);
  net::reset_on_close(far.get());
  far.reset();
  CHECK_THAT(answer("}\n"), StartsWith("HTTP/1.1 502 Bad Gateway (origin_closed)\r\n"));
  CHECK_FALSE(accept_origin());
}

TEST_CASE_METHOD(ForwardFixture, "an origin that answers early still gets the rest") {
  begin();
  const std::string at = origin.at.text();
  send("POST http://" + at + "/ HTTP/1.1\r\nHost: " + at + "\r\nContent-Length: 8\r\n\r\nhalf");
  approve();
  const net::UniqueFd far = accept();
  std::string got;
  wait_for([&] {
    warder::testing::read_available(far.get(), got);
    return got.ends_with("half");
  });
  say(far, kAnswer);
  answer("ok");
  send("more");
  wait_for([&] {
    warder::testing::read_available(far.get(), got);
    return got.ends_with("halfmore");
  });
}

TEST_CASE_METHOD(ForwardFixture, "no WebSocket where requests are limited") {
  begin();
  const std::string at = origin.at.text();
  send("GET http://" + at + "/ HTTP/1.1\r\nHost: " + at +
       "\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
  warder::opa::Decision limited = allow_decision();
  limited.read_only = true;
  identify();
  decide(limited);
  confirm();
  CHECK_THAT(answer("}\n"), StartsWith("HTTP/1.1 403 Forbidden (upgrade_not_allowed)\r\n"));
}

TEST_CASE_METHOD(ForwardFixture, "a request is sent again only when nobody can have read it") {
  begin();
  send(get("/1"));
  approve();
  net::UniqueFd far = accept();
  read_head(far);
  say(far, kAnswer);
  answer("ok");
  send(get("/2"));
  approve();
  read_head(far);
  far.reset();
  CHECK_THAT(answer("}\n"), StartsWith("HTTP/1.1 502 Bad Gateway (origin_closed)\r\n"));
  CHECK_FALSE(accept_origin());
}

}  // namespace
