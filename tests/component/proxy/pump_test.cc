#include "proxy/pump.h"

#include <sys/socket.h>

#include <catch2/catch_test_macros.hpp>

#include "tests/support/loop_fixture.h"
#include "tests/support/sockets.h"

namespace warder::proxy {
namespace {

TEST_CASE_METHOD(testing::LoopFixture, "Pump moves at most its budget in one call") {
  auto source = testing::tcp_pair();
  auto sink = testing::tcp_pair();
  Pump pump(source.far.get(), sink.near.get(), {}, 0);
  const std::string chunk(64 * 1024, 'x');
  std::string got;
  bool spliced = false;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 16; ++i) testing::write_available(source.near.get(), chunk);
    const std::uint64_t before = pump.moved();
    pump.run();
    CHECK(pump.moved() - before <= Pump::kBudget);
    // Copies until the stream has proved long.
    if (pump.splicing()) CHECK(before >= Pump::kSpliceAfter / 2);
    spliced = spliced || pump.splicing();
    testing::read_available(sink.far.get(), got);
  }
  CHECK(spliced);
  CHECK(pump.moved() > 10 * Pump::kBudget);
  pump.close();
}

TEST_CASE_METHOD(testing::LoopFixture, "Pump gets past urgent data once it splices") {
  auto source = testing::tcp_pair();
  auto sink = testing::tcp_pair();
  Pump pump(source.far.get(), sink.near.get(), {}, 0);
  std::string got;
  const std::string chunk(64 * 1024, 'x');
  while (!pump.splicing()) {
    testing::write_available(source.near.get(), chunk);
    pump.run();
    testing::read_available(sink.far.get(), got);
  }
  while (pump.run()) testing::read_available(sink.far.get(), got);
  got.clear();
  REQUIRE(::send(source.near.get(), "!", 1, MSG_OOB) == 1);
  testing::write_available(source.near.get(), "after");
  for (int turn = 0; turn < 1000 && got != "after"; ++turn) {
    pump.run();
    testing::read_available(sink.far.get(), got);
  }
  CHECK(got == "after");
  pump.close();
}

TEST_CASE_METHOD(testing::LoopFixture, "Pump asks for one direction at a time") {
  auto source = testing::unix_pair();
  auto sink = testing::unix_pair();
  Pump pump(source.far.get(), sink.near.get(), "first", 2);
  CHECK(pump.wants_write());
  CHECK_FALSE(pump.wants_read());
  CHECK(pump.run());
  CHECK(pump.moved() == 3);
  CHECK(pump.wants_read());
  CHECK_FALSE(pump.wants_write());
  CHECK_FALSE(pump.run());
  source.near.reset();
  CHECK(pump.run());
  CHECK(pump.source_ended());
  CHECK(pump.ended());
  CHECK_FALSE(pump.wants_read());
  std::string got;
  CHECK_FALSE(testing::read_available(sink.far.get(), got));
  CHECK(got == "first");
}

TEST_CASE_METHOD(testing::LoopFixture, "Pump tells a broken sink from a broken source") {
  auto source = testing::unix_pair();
  auto sink = testing::unix_pair();
  Pump pump(source.far.get(), sink.near.get(), "first", 0);
  sink.far.reset();
  CHECK(pump.run());
  CHECK(pump.ended());
  CHECK(pump.failure() == Pump::Failure::sink);
  CHECK_FALSE(pump.wants_write());
}

}  // namespace
}  // namespace warder::proxy
