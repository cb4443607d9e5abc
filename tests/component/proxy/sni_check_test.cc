#include "proxy/sni_check.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>

#include "net/tls/records.h"
#include "tests/component/proxy/gate_fixture.h"
#include "tests/support/client_hello.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/sockets.h"

namespace {

namespace proxy = warder::proxy;
namespace tls = warder::tls;
using warder::testing::GateFixture;
using warder::testing::LoopFixture;
using warder::testing::plain_hello;
using warder::testing::read_available;
using warder::testing::server_hello;
using warder::testing::tls_record;
using warder::testing::tls_records;

constexpr std::chrono::milliseconds kLong{20000};

class SniFixture : public LoopFixture, proxy::SniCheck::Listener {
 public:
  SniFixture() = default;
  virtual ~SniFixture() {
    if (check_) check_->cancel();
    check_.reset();
  }
  SniFixture(const SniFixture&) = delete;
  SniFixture& operator=(const SniFixture&) = delete;

  void begin(const std::string& from_client = {}) {
    check_ = std::make_unique<proxy::SniCheck>(
        loop(), parser_,
        proxy::SniCheck::Tunnel{client_.near.get(), origin_.near.get(),
                                *warder::http::parse_host("a.example"), from_client, "200\n"},
        limits, static_cast<proxy::SniCheck::Listener&>(*this));
    REQUIRE(check_->begin());
    CHECK_FALSE(over());
  }
  void send(std::string_view bytes) const {
    REQUIRE(warder::testing::write_available(client_.far.get(), bytes) == bytes.size());
  }
  void answer(std::string_view bytes) const {
    REQUIRE(warder::testing::write_available(origin_.far.get(), bytes) == bytes.size());
  }
  // All that has come so far.
  const std::string& at_client() {
    read_available(client_.far.get(), at_client_);
    return at_client_;
  }
  const std::string& at_origin() {
    read_available(origin_.far.get(), at_origin_);
    return at_origin_;
  }
  void reach_origin(const std::string& bytes) {
    REQUIRE(run_until([&] { return at_origin().size() >= bytes.size(); }));
    CHECK(at_origin() == bytes);
  }
  [[nodiscard]] bool over() const { return passed || failed; }
  void end_client() { client_.far.reset(); }
  void end_origin() { origin_.far.reset(); }
  void finish() {
    REQUIRE(run_until([this] { return over(); }));
  }
  // With nothing at the origin but `there`.
  void fails_with(const std::string& reason, const std::string& there = {}) {
    finish();
    REQUIRE(failed);
    CHECK(failed->close_reason == reason);
    CHECK(at_origin() == there);
    CHECK(check_->moved().up == there.size());
  }

  proxy::SniCheck::Limits limits{kLong, kLong};
  std::optional<proxy::SniCheck::Rest> passed;
  std::optional<proxy::SniFailure> failed;

 protected:
  [[nodiscard]] const proxy::SniCheck& check() const { return *check_; }

 private:
  void on_sni_passed(proxy::SniCheck::Rest rest) override { passed = std::move(rest); }
  void on_sni_failed(proxy::SniFailure failure) override { failed = std::move(failure); }

  tls::ClientHelloParser parser_ = tls::ClientHelloParser::create().value();
  warder::testing::Pair client_ = warder::testing::tcp_pair();
  warder::testing::Pair origin_ = warder::testing::tcp_pair();
  std::unique_ptr<proxy::SniCheck> check_;
  std::string at_client_, at_origin_;
};

TEST_CASE_METHOD(SniFixture, "sni check: the right name goes on, byte by byte too") {
  begin();
  REQUIRE(run_until([this] { return at_client() == "200\n"; }));
  const std::string hello = plain_hello("A.example");
  for (const char byte : hello.substr(0, hello.size() - 1)) {
    send({&byte, 1});
    run_turns(2);
  }
  CHECK(at_origin().empty());
  CHECK_FALSE(over());
  send(hello.substr(hello.size() - 1) + "more");
  reach_origin(hello);
  CHECK_FALSE(over());
  const std::string answered = tls_records(server_hello(false)) + "rest";
  answer(answered);
  finish();
  REQUIRE(passed);
  CHECK(passed->to_origin == "more");
  CHECK(passed->to_client == answered);
  CHECK(check().moved().up == hello.size());
  CHECK(check().moved().down == answered.size());
}

TEST_CASE_METHOD(SniFixture, "sni check: what came with the request counts") {
  const std::string hello = plain_hello("a.example");
  begin(hello.substr(0, 20));
  send(hello.substr(20));
  reach_origin(hello);
  end_origin();
  finish();
  REQUIRE(passed);  // whatever is wrong with the origin is for the relay to find
  CHECK(passed->to_client.empty());
}

TEST_CASE_METHOD(SniFixture, "sni check: nothing else reaches the origin") {
  SECTION("another name") {
    begin(plain_hello("b.example"));
    fails_with("sni_mismatch");
    CHECK(failed->server_name == "b.example");
    CHECK(failed->alert == tls::fatal_alert(tls::AlertDescription::unrecognized_name));
    CHECK(at_client() == "200\n");
  }
  SECTION("no TLS") {
    begin();
    send("GET / HTTP/1.1\r\n\r\n");
    fails_with("not_tls");
    CHECK(failed->alert.empty());
  }
  SECTION("too much") {
    begin();
    send(std::string("\x16\x03\x01\x40\x00\x01\x00\xf0\x00", 9) + std::string(20000, 'x'));
    fails_with("client_hello_too_large");
  }
  SECTION("half of it, and the end") {
    begin();
    send(plain_hello("a.example").substr(0, 30));
    end_client();
    fails_with("client_hello_incomplete");
    CHECK(failed->closed_by == proxy::ClosedBy::client);
  }
  SECTION("nothing, and the end") {
    begin();
    end_client();
    fails_with("end");
    CHECK(failed->closed_by == proxy::ClosedBy::client);
    CHECK(failed->message.empty());
  }
}

TEST_CASE_METHOD(SniFixture, "sni check: it does not wait for ever") {
  SECTION("for nothing") {
    limits.client_hello = std::chrono::milliseconds(1);
    begin();
    fails_with("client_hello_timeout");
    CHECK(failed->alert.empty());
  }
  SECTION("for the rest of a ClientHello") {
    limits.client_hello = std::chrono::milliseconds(200);
    begin(plain_hello("a.example").substr(0, 30));
    fails_with("client_hello_timeout");
    CHECK_FALSE(failed->alert.empty());
  }
  SECTION("for the origin") {
    limits.answer = std::chrono::milliseconds(1);
    begin(plain_hello("a.example"));
    fails_with("server_hello_timeout", plain_hello("a.example"));
  }
}

// An origin that asks for it may go by the name in the second one.
TEST_CASE_METHOD(SniFixture, "sni check: a second ClientHello is checked like the first") {
  const std::string first = plain_hello("a.example");
  const std::string change = tls_record(20, "\1");
  const std::string retry = tls_records(server_hello(true)) + change;
  SECTION("another name") {
    begin(first);
    reach_origin(first);
    answer(retry);
    REQUIRE(run_until([&] { return at_client() == "200\n" + retry; }));
    send(change + plain_hello("b.example"));
    fails_with("sni_mismatch", first);
    CHECK(check().moved().down == retry.size());
  }
  SECTION("another name, sent unasked") {
    begin(first + plain_hello("b.example"));
    reach_origin(first);
    answer(retry);
    fails_with("sni_mismatch", first);
  }
  SECTION("another name, behind early data") {
    begin(first + change + tls_record(23, "early") + plain_hello("b.example"));
    reach_origin(first);
    answer(retry);
    fails_with("sni_mismatch", first);
  }
  SECTION("behind a warning") {
    begin(first + tls_record(21, std::string("\1\132", 2)) + first);
    reach_origin(first);
    answer(retry);
    fails_with("not_tls", first);
  }
  SECTION("behind more than is taken") {
    begin(first + std::string("\x17\x03\x03\xff\xff", 5) + std::string(65536, 'x'));
    reach_origin(first);
    answer(retry);
    fails_with("not_tls", first);
  }
  SECTION("the same name") {
    begin(first);
    reach_origin(first);
    answer(retry);
    REQUIRE(run_until([&] { return at_client() == "200\n" + retry; }));
    send(change + first + "more");
    finish();
    REQUIRE(passed);
    CHECK(passed->to_origin == change + first + "more");
    CHECK(passed->to_client.empty());
    CHECK(check().moved().up == first.size());
    CHECK(check().moved().down == retry.size());
  }
}

class SniGateFixture : public GateFixture {
 public:
  // A tunnel whose policy says `sni: match`.
  void open_checked() {
    reach_decision(origin.at.text());
    warder::opa::Decision decision = warder::testing::allow_decision();
    decision.sni = "match";
    opa.calls.answer(decision);
    wait_for([this] { return resolver.second.open() == 1; });
    resolver.second.answer(std::nullopt);
    std::string head;
    wait_for([&] {
      read_available(client.get(), head);
      return head.ends_with("\r\n\r\n");
    });
    REQUIRE(head.starts_with("HTTP/1.1 200 "));
  }
};

TEST_CASE_METHOD(SniGateFixture, "a tunnel with sni: match carries what it checked") {
  open_checked();
  warder::net::UniqueFd far = accept_origin();
  REQUIRE(far);
  const std::string hello = plain_hello("127.0.0.1");
  send(hello + "behind");
  std::string there, here;
  wait_for([&] {
    read_available(far.get(), there);
    return there == hello;
  });
  const std::string answered = tls_records(server_hello(false));
  warder::testing::write_available(far.get(), answered);
  wait_for([&] {
    read_available(far.get(), there);
    read_available(client.get(), here);
    return there == hello + "behind" && here == answered;
  });
  far.reset();
  client.reset();
  wait_for([this] { return closed(); });
  REQUIRE(records.tunnels.size() == 1);
  CHECK(records.tunnels[0].bytes_up == hello.size() + 6);
  CHECK(records.tunnels[0].bytes_down == answered.size());
}

TEST_CASE_METHOD(SniGateFixture, "a tunnel with another name is closed with its reason") {
  open_checked();
  const warder::net::UniqueFd far = accept_origin();
  REQUIRE(far);
  send(plain_hello("evil.example") + std::string(100000, 'x'));
  // Orderly, so that the client reads why.
  CHECK(read_answer() == tls::fatal_alert(tls::AlertDescription::unrecognized_name));
  client.reset();
  wait_for([this] { return closed(); });
  std::string there;
  wait_for([&] { return !read_available(far.get(), there); });
  CHECK(there.empty());
  REQUIRE(records.tunnels.size() == 1);
  CHECK(records.tunnels[0].close_reason == "sni_mismatch");
  CHECK(records.tunnels[0].closed_by == proxy::ClosedBy::proxy);
  CHECK(records.tunnels[0].bytes_up == 0);
  REQUIRE(records.diagnostics.size() == 1);
  CHECK(records.diagnostics[0].event == "sni");
  const std::vector<std::pair<std::string, std::string>>& fields = records.diagnostics[0].fields;
  CHECK(std::find(fields.begin(), fields.end(),
                  std::pair<std::string, std::string>{"server_name", "evil.example"}) !=
        fields.end());
}

TEST_CASE_METHOD(SniGateFixture, "a tunnel that is being checked ends with the proxy") {
  open_checked();
  send(plain_hello("127.0.0.1").substr(0, 20));
  run_turns(5);
  connection().end("shutdown");
  wait_for([this] { return closed(); });
  REQUIRE(records.tunnels.size() == 1);
  CHECK(records.tunnels[0].close_reason == "shutdown");
}

}  // namespace
