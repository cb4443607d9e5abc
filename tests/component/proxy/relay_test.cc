#include "proxy/relay.h"

#include <sys/resource.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cerrno>

#include "tests/component/proxy/relay_fixture.h"

namespace warder::proxy {
namespace {

using std::chrono::milliseconds;

// Under the limit no further descriptor is to be had.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    rlimit none = before_;
    none.rlim_cur = 0;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  }
  ~NoMoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoMoreDescriptors(const NoMoreDescriptors&) = delete;
  NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST_CASE_METHOD(RelayFixture, "Relay moves 20 MB both ways at once") {
  const bool tcp = GENERATE(true, false);
  CAPTURE(tcp);
  if (tcp) {
    connect_tcp();
  } else {
    connect(testing::unix_pair(), testing::unix_pair());
  }
  const std::string up = noise(20'000'000, 1);
  const std::string down = noise(20'000'000, 2);
  client.to_send = up;
  origin.to_send = down;
  client.end_after = origin.end_after = true;
  start();
  const std::size_t before = testing::open_descriptors();
  std::size_t most = 0;
  CHECK(pump_until([&] {
    most = std::max(most, testing::open_descriptors());
    return end.has_value();
  }));
  CHECK(most == before + 4);  // a pipe each way, made when the stream proved long
  CHECK(pump_until([&] { return client.ended && origin.ended; }));
  CHECK((origin.got == up));
  CHECK((client.got == down));
  REQUIRE(end.has_value());
  CHECK(end->bytes_up == up.size());
  CHECK(end->bytes_down == down.size());
  CHECK(end->reason == "end");
}

TEST_CASE_METHOD(RelayFixture, "Relay makes no pipes for a short stream") {
  connect_tcp();
  start();
  const std::size_t before = testing::open_descriptors();
  client.to_send = noise(200'000, 3);
  CHECK(pump_until([&] { return origin.got.size() == client.to_send.size(); }));
  CHECK(testing::open_descriptors() == before);
}

TEST_CASE_METHOD(RelayFixture, "Relay writes the owed bytes first and counts only the client's") {
  connect_tcp();
  client.to_send = " and more";
  origin.to_send = "banner";
  client.end_after = origin.end_after = true;
  client.step();
  origin.step();
  start({}, "early bytes", "HTTP/1.1 200 Connection Established\r\n\r\n");
  CHECK(pump_to_the_end());
  CHECK(pump_until([&] { return client.ended && origin.ended; }));
  CHECK(origin.got == "early bytes and more");
  CHECK(client.got == "HTTP/1.1 200 Connection Established\r\n\r\nbanner");
  CHECK(end->bytes_up == 20);
  CHECK(end->bytes_down == 6);
}

TEST_CASE_METHOD(RelayFixture, "Relay passes a half-close on and goes on the other way") {
  const bool client_first = GENERATE(true, false);
  CAPTURE(client_first);
  connect_tcp();
  start();
  Peer& first = client_first ? client : origin;
  Peer& second = client_first ? origin : client;
  first.to_send = "question";
  first.end_after = true;
  CHECK(pump_until([&] { return second.ended; }));
  CHECK(second.got == "question");
  CHECK_FALSE(end.has_value());
  second.to_send = noise(1'000'000, 4);
  second.end_after = true;
  CHECK(pump_to_the_end());
  CHECK(pump_until([&] { return first.ended; }));
  CHECK((first.got == second.to_send));
  CHECK(end->reason == "end");
  CHECK(end->closed_by == (client_first ? ClosedBy::client : ClosedBy::origin));
}

TEST_CASE_METHOD(RelayFixture, "Relay holds back a sender whose reader is slow") {
  const std::size_t before_splicing = GENERATE(0U, 1'000'000U);
  connect_tcp();
  for (const int fd : {near_client.get(), near_origin.get(), client.fd.get(), origin.fd.get()}) {
    testing::shrink_buffers(fd);
  }
  start();
  client.to_send = noise(before_splicing, 5);
  CHECK(pump_until([&] { return origin.got.size() == before_splicing; }));
  origin.reading = false;
  client.to_send += noise(8'000'000, 6);
  std::size_t last = 0;
  int quiet = 0;
  CHECK(pump_until([&] {
    quiet = client.sent == last ? quiet + 1 : 0;
    last = client.sent;
    return quiet == 50;
  }));
  CHECK(client.sent - before_splicing < 1'000'000);
  origin.reading = true;
  client.end_after = true;
  CHECK(pump_until([&] { return origin.ended; }));
  CHECK((origin.got == client.to_send));
}

TEST_CASE_METHOD(RelayFixture, "Relay reports a reset and passes it on") {
  const bool by_client = GENERATE(true, false);
  const std::size_t moved_before = GENERATE(10U, 1'000'000U);
  CAPTURE(by_client, moved_before);
  connect_tcp();
  start();
  Peer& breaker = by_client ? client : origin;
  Peer& other = by_client ? origin : client;
  breaker.to_send = noise(moved_before, 7);
  CHECK(pump_until([&] { return other.got.size() == moved_before; }));
  net::reset_on_close(breaker.fd.get());
  breaker.fd.reset();
  CHECK(pump_to_the_end());
  CHECK(end->reason == "reset");
  CHECK(end->closed_by == (by_client ? ClosedBy::client : ClosedBy::origin));
  CHECK((by_client ? end->bytes_up : end->bytes_down) == moved_before);
  CHECK(pump_until([&] { return other.broken != 0 || other.ended; }));
  CHECK(other.broken == ECONNRESET);
}

TEST_CASE_METHOD(RelayFixture, "Relay delivers the answer of an origin that refuses the upload") {
  connect_tcp();
  start();
  origin.reading = false;
  client.to_send = noise(5'000'000, 8);
  CHECK(pump_until([&] { return client.sent > 1'000'000; }));
  // Closing with unread bytes sends a reset right behind the answer (RFC 1122, 4.2.2.13).
  const std::string answer = "HTTP/1.1 413 Content Too Large\r\n\r\n";
  CHECK(testing::write_available(origin.fd.get(), answer) == answer.size());
  origin.fd.reset();
  CHECK(pump_to_the_end());
  CHECK(end->closed_by == ClosedBy::origin);
  CHECK(end->bytes_down == answer.size());
  CHECK(pump_until([&] { return client.broken != 0 || client.ended; }));
  CHECK(client.got == answer);
}

TEST_CASE_METHOD(RelayFixture, "Relay ends when both directions were silent too long") {
  connect_tcp();
  start({milliseconds(2000), milliseconds(10000)});
  const auto before = std::chrono::steady_clock::now();
  // A byte, now one way and now the other, keeps it open well beyond the limit.
  for (int i = 0; i < 12; ++i) {
    run_for(milliseconds(200));
    Peer& talker = i % 2 == 0 ? client : origin;
    talker.to_send += "x";
    client.step();
    origin.step();
    REQUIRE_FALSE(end.has_value());
  }
  CHECK(pump_to_the_end());
  CHECK(std::chrono::steady_clock::now() - before >= milliseconds(4350));
  CHECK(end->reason == "idle");
  CHECK(end->closed_by == ClosedBy::proxy);
  CHECK(end->bytes_up + end->bytes_down == 12);
}

TEST_CASE_METHOD(RelayFixture, "Relay waits only so long for the second side to end") {
  connect_tcp();
  start({milliseconds(100000), milliseconds(60)});
  client.to_send = "question";
  client.end_after = true;
  CHECK(pump_until([&] { return origin.ended; }));
  CHECK(pump_to_the_end());
  CHECK(end->reason == "drain");
  CHECK(end->closed_by == ClosedBy::proxy);
}

TEST_CASE_METHOD(RelayFixture, "Relay waits only so long for a reader that takes nothing") {
  connect_tcp();
  start({milliseconds(100000), milliseconds(100)});
  client.reading = false;
  origin.to_send = noise(30'000'000, 9);
  CHECK(pump_until([&] { return origin.sent > 1'000'000; }));
  client.end_after = true;
  CHECK(pump_to_the_end());
  CHECK(end->reason == "drain");
}

TEST_CASE_METHOD(RelayFixture, "Relay ends when it is told to, on a later turn") {
  connect_tcp();
  start();
  client.to_send = "x";
  CHECK(pump_until([&] { return origin.got == "x"; }));
  relay->end("shutdown");
  relay->end("again");
  CHECK_FALSE(end.has_value());
  CHECK(relay->bytes_up() == 1);
  CHECK(pump_to_the_end());
  CHECK(end->reason == "shutdown");
  CHECK(end->closed_by == ClosedBy::proxy);
  CHECK(end->bytes_up == 1);
  CHECK(pump_until([&] { return client.ended && origin.ended; }));
}

TEST_CASE_METHOD(RelayFixture, "Relay copies on when no pipe is to be had") {
  connect_tcp();
  start();
  client.to_send = noise(5'000'000, 10);
  origin.to_send = noise(5'000'000, 11);
  client.end_after = origin.end_after = true;
  {
    const NoMoreDescriptors limit;
    CHECK(pump_to_the_end());
  }
  CHECK(pump_until([&] { return client.ended && origin.ended; }));
  CHECK(end->reason == "end");
  CHECK((origin.got == client.to_send));
  CHECK((client.got == origin.to_send));
}

TEST_CASE_METHOD(RelayFixture, "Relay that is destroyed closes both sides and never calls back") {
  connect_tcp();
  start();
  client.to_send = noise(5'000'000, 12);
  CHECK(pump_until([&] { return origin.got.size() > 1'000'000; }));
  relay.reset();
  CHECK(pump_until([&] { return (origin.ended || origin.broken != 0); }));
  run_turns(5);
  CHECK_FALSE(end.has_value());
}

TEST_CASE_METHOD(RelayFixture, "Relay's callback may destroy the relay") {
  connect_tcp();
  bool called = false;
  std::unique_ptr<Relay> own;
  own = start_relay(loop(), std::move(near_client), std::move(near_origin), {}, {}, {},
                    [&](const RelayEnd&) {
                      own.reset();
                      called = true;
                    })
            .value();
  client.end_after = origin.end_after = true;
  CHECK(pump_until([&] { return called; }));
}

TEST_CASE_METHOD(RelayFixture, "Relay between ends that are gone already still ends later") {
  connect_tcp();
  client.fd.reset();
  origin.fd.reset();
  start({}, "early", "late");
  CHECK(pump_to_the_end());
}

}  // namespace
}  // namespace warder::proxy
