#include "net/watcher.h"

#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <functional>
#include <vector>

#include "net/byte_stream.h"
#include "net/socket.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/sockets.h"

namespace warder::net {
namespace {

using testing::LoopFixture;

struct Recorder final : FdWatcher::Listener {
  std::vector<Readiness> seen;
  std::function<void(FdWatcher&)> act;

  void on_ready(FdWatcher& watcher, Readiness readiness) override {
    seen.push_back(readiness);
    if (act) act(watcher);
  }
};

constexpr Readiness kRead{true, false};
constexpr Readiness kWrite{false, true};
constexpr Readiness kBoth{true, true};

TEST_CASE_METHOD(LoopFixture, "Watcher tells what it was asked for and nothing else") {
  const auto pair = testing::tcp_pair();
  Recorder recorder;
  const auto watcher = FdWatcher::create(loop(), pair.near.get(), recorder).value();
  run_turns(3);
  CHECK(recorder.seen.empty());
  watcher->watch(kWrite);
  CHECK(run_until([&] { return !recorder.seen.empty(); }));
  CHECK(recorder.seen.front() == kWrite);
  watcher->watch(kRead);
  recorder.seen.clear();
  run_turns(3);
  CHECK(recorder.seen.empty());
  REQUIRE(write_some(pair.far.get(), std::string_view("x"))->bytes == 1);
  CHECK(run_until([&] { return recorder.seen.size() >= 2; }));  // level-triggered
  CHECK(recorder.seen.front() == kRead);
  watcher->stop();
  recorder.seen.clear();
  run_turns(3);
  CHECK(recorder.seen.empty());
}

TEST_CASE_METHOD(LoopFixture, "Watcher that is stopped drops what was pending") {
  const auto first = testing::tcp_pair();
  const auto second = testing::tcp_pair();
  Recorder one;
  Recorder two;
  const auto watcher_one = FdWatcher::create(loop(), first.near.get(), one).value();
  const auto watcher_two = FdWatcher::create(loop(), second.near.get(), two).value();
  // Both are ready in one turn; whichever comes first stops the other.
  one.act = [&](FdWatcher& self) {
    self.stop();
    watcher_two->stop();
  };
  two.act = [&](FdWatcher& self) {
    self.stop();
    watcher_one->stop();
  };
  watcher_one->watch(kWrite);
  watcher_two->watch(kWrite);
  CHECK(run_until([&] { return one.seen.size() + two.seen.size() > 0; }));
  run_turns(5);
  CHECK(one.seen.size() + two.seen.size() == 1);
}

TEST_CASE_METHOD(LoopFixture, "Watcher shows a refused connection as both, once") {
  auto fd = start_connect(testing::closed_port()).value();
  Recorder recorder;
  auto watcher = FdWatcher::create(loop(), fd.get(), recorder).value();
  watcher->watch(kWrite);
  CHECK(run_until([&] { return !recorder.seen.empty(); }));
  CHECK(recorder.seen.front() == kBoth);
  CHECK(watcher->interest() == Readiness{});  // libuv has stopped it
  CHECK(so_error(fd.get()) == ECONNREFUSED);
  run_turns(3);
  CHECK(recorder.seen.size() == 1);
}

TEST_CASE_METHOD(LoopFixture, "Watcher can be watched with again after an error") {
  auto pair = testing::tcp_pair();
  Recorder recorder;
  const auto watcher = FdWatcher::create(loop(), pair.near.get(), recorder).value();
  watcher->watch(kRead);
  reset_on_close(pair.far.get());
  pair.far.reset();
  CHECK(run_until([&] { return !recorder.seen.empty(); }));
  watcher->watch(kRead);
  recorder.seen.clear();
  CHECK(run_until([&] { return !recorder.seen.empty(); }));
}

TEST_CASE_METHOD(LoopFixture, "Watcher may be destroyed by its listener") {
  const auto pair = testing::tcp_pair();
  Recorder recorder;
  auto watcher = FdWatcher::create(loop(), pair.near.get(), recorder).value();
  recorder.act = [&](FdWatcher&) { watcher.reset(); };
  watcher->watch(kWrite);
  CHECK(run_until([&] { return watcher == nullptr; }));
  // The descriptor is free for another watcher at once.
  recorder.act = nullptr;
  recorder.seen.clear();
  const auto next = FdWatcher::create(loop(), pair.near.get(), recorder).value();
  next->watch(kWrite);
  CHECK(run_until([&] { return !recorder.seen.empty(); }));
}

TEST_CASE_METHOD(LoopFixture, "Watcher refuses what can't be watched") {
  Recorder recorder;
  CHECK_FALSE(FdWatcher::create(loop(), -1, recorder).has_value());
  const auto pair = testing::unix_pair();
  const auto watcher = FdWatcher::create(loop(), pair.near.get(), recorder).value();
  watcher->watch(kRead);
  CHECK_FALSE(FdWatcher::create(loop(), pair.near.get(), recorder).has_value());
}

struct StreamRecorder final : ByteStream::Listener {
  std::vector<Readiness> seen;
  void on_stream_ready(Readiness readiness) override { seen.push_back(readiness); }
};

TEST_CASE_METHOD(LoopFixture, "ByteStream connects, writes, reads and sees the end") {
  const auto listener = testing::listen_somewhere();
  StreamRecorder recorder;
  const auto stream = open_tcp_stream(loop(), listener.at, recorder).value();
  stream->watch(kWrite);
  REQUIRE(run_until([&] { return !recorder.seen.empty(); }));
  CHECK(stream->connect_result());
  CHECK(stream->write(std::string_view("ping"))->bytes == 4);
  auto peer = std::move(accept_tcp(listener.fd.get()).value()->fd);
  stream->watch(kRead);
  REQUIRE(write_some(peer.get(), std::string_view("pong"))->bytes == 4);
  recorder.seen.clear();
  REQUIRE(run_until([&] { return !recorder.seen.empty(); }));
  std::array<char, 16> buffer{};
  CHECK(stream->read(buffer)->bytes == 4);
  CHECK(stream->read(buffer)->would_block);
  peer.reset();
  recorder.seen.clear();
  REQUIRE(run_until([&] { return !recorder.seen.empty(); }));
}

TEST_CASE_METHOD(LoopFixture, "ByteStream reports why it could not connect") {
  StreamRecorder recorder;
  const auto stream = open_tcp_stream(loop(), testing::closed_port(), recorder).value();
  stream->watch(kWrite);
  REQUIRE(run_until([&] { return !recorder.seen.empty(); }));
  const auto result = stream->connect_result();
  REQUIRE_FALSE(result);
  CHECK(result.error().sys_errno == ECONNREFUSED);
  const auto missing = open_unix_stream(loop(), "/nonexistent/opa.sock", recorder);
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error().code == Errc::not_found);
  CHECK_FALSE(open_unix_stream(loop(), std::string(200, 'x'), recorder).has_value());
  CHECK_FALSE(open_unix_stream(loop(), std::string("\0abstract", 9), recorder).has_value());
}

}  // namespace
}  // namespace warder::net
