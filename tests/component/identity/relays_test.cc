#include <catch2/catch_test_macros.hpp>

#include "identity/host_resolver.h"
#include "tests/component/identity/client.h"
#include "tests/support/loop_fixture.h"

namespace warder::identity {
namespace {

class RelaysTest : public testing::LoopFixture {
 public:
  RelaysTest() {
    auto made = make_host_resolver({});
    REQUIRE(made);
    resolver_ = std::move(made->resolver);
    port_ = relay_.tell("listen");
    REQUIRE(port_.starts_with("ok "));
    port_.erase(0, 3);
  }
  void connect_to_relay(testing::Client& client) {
    REQUIRE(client.tell("connect 127.0.0.1 " + port_) == "ok");
    REQUIRE(relay_.tell("accept") == "ok");
  }
  Identity look() {
    std::optional<Identity> identity;
    const auto lookup =
        resolver_->start(connection_, loop(), [&](Identity found) { identity = std::move(found); });
    REQUIRE(run_until([&] { return identity.has_value(); }));
    UNSCOPED_INFO(identity->detail);
    REQUIRE(identity->grade == Grade::exact);
    CHECK(identity->processes.front().pid == relay_.pid());
    return *identity;
  }
  std::optional<Change> confirm(const Identity& before) {
    bool done = false;
    std::optional<Change> changed;
    const auto lookup =
        resolver_->confirm(connection_, before, loop(), [&](std::optional<Change> change) {
          changed = std::move(change);
          done = true;
        });
    REQUIRE(run_until([&] { return done; }));
    return changed;
  }

 protected:
  testing::ProgramCopy other_{"other"};
  testing::Client relay_{testing::kClientProgram};
  testing::Client behind_{other_.path()};
  testing::Gate gate_;
  Connection connection_ = gate_.let_in(relay_);
  std::string port_;

 private:
  std::unique_ptr<Resolver> resolver_;
};

}  // namespace

TEST_CASE_METHOD(RelaysTest, "a program that only listens relays nothing", "[identity][bpf]") {
  const Identity identity = look();
  CHECK_FALSE(identity.relays);
  CHECK(identity.via_complete);
}

TEST_CASE_METHOD(RelaysTest, "the program behind a relay is named", "[identity][bpf]") {
  const Identity before = look();
  connect_to_relay(behind_);
  const Identity identity = look();
  CHECK(identity.relays);
  CHECK(identity.via_complete);
  REQUIRE(identity.via.size() == 1);
  CHECK(identity.via.front().pid == behind_.pid());
  CHECK(identity.via.front().path == other_.path());
  CHECK(identity.via.front().binary == other_.path());
  CHECK(confirm(before)->what == "connections of other programs lead to it now");
  CHECK_FALSE(confirm(identity));
  // Closed, but what it sent may not have been passed on yet.
  REQUIRE(behind_.tell("close") == "ok");
  CHECK(look().relays);
  CHECK_FALSE(look().via_complete);
}

TEST_CASE_METHOD(RelaysTest, "a program behind a relay that is hidden, or a relay itself",
                 "[identity][bpf]") {
  connect_to_relay(behind_);
  SECTION("held out of sight") { REQUIRE(behind_.tell("park-copy") == "ok"); }
  SECTION("another behind it") {
    std::string port = behind_.tell("listen");
    testing::Client last(testing::kClientProgram);
    REQUIRE(last.tell("connect 127.0.0.1 " + port.substr(3)) == "ok");
    REQUIRE(behind_.tell("accept") == "ok");
    CHECK_FALSE(look().via_complete);
  }
  const Identity identity = look();
  CHECK(identity.relays);
  CHECK_FALSE(identity.via_complete);
  REQUIRE(identity.via.size() == 1);
  CHECK(identity.via.front().pid == behind_.pid());
}

TEST_CASE_METHOD(RelaysTest, "more connections than are looked up", "[identity][bpf]") {
  for (int i = 0; i < 4; ++i) connect_to_relay(behind_);
  CHECK(look().via_complete);
  for (int i = 0; i < 16; ++i) connect_to_relay(behind_);
  const Identity identity = look();
  CHECK(identity.relays);
  CHECK_FALSE(identity.via_complete);
  CHECK(identity.via.size() == 1);
}

}  // namespace warder::identity
