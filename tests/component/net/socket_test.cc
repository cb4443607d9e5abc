#include "net/socket.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <string>

#include "tests/support/loop_fixture.h"
#include "tests/support/sockets.h"

namespace warder::net {
namespace {

using testing::LoopFixture;

IpAddress parsed(std::string_view text) { return IpAddress::parse(text).value(); }

TEST_CASE_METHOD(LoopFixture, "Sockets are non-blocking, closed on exec, and know their ends") {
  const auto pair = testing::tcp_pair();
  for (const int fd : {pair.near.get(), pair.far.get()}) {
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK(local_endpoint(pair.near.get()).value() == peer_endpoint(pair.far.get()).value());
  CHECK(local_endpoint(pair.far.get()).value() == peer_endpoint(pair.near.get()).value());
  CHECK_FALSE(original_destination(pair.far.get()).has_value());
}

TEST_CASE_METHOD(LoopFixture, "Reading and writing tell would-block, the end and errors apart") {
  auto pair = testing::tcp_pair();
  std::array<char, 8> buffer{};
  CHECK(read_some(pair.near.get(), buffer)->would_block);
  const auto nothing = read_some(pair.near.get(), {}).value();
  CHECK_FALSE(nothing.end);
  CHECK(write_some(pair.far.get(), std::string_view("0123456789"))->bytes == 10);
  CHECK(read_some(pair.near.get(), buffer)->bytes == 8);
  CHECK(read_some(pair.near.get(), buffer)->bytes == 2);
  shutdown_write(pair.far.get());
  CHECK(read_some(pair.near.get(), buffer)->end);
  pair = testing::tcp_pair();
  const std::string much(1 << 20, 'x');
  while (!write_some(pair.near.get(), much)->would_block) {
  }
  reset_on_close(pair.far.get());
  pair.far.reset();
  CHECK(read_some(pair.near.get(), buffer).error().sys_errno == ECONNRESET);
  const auto broken = write_some(pair.near.get(), much);  // and no SIGPIPE
  REQUIRE_FALSE(broken.has_value());
  CHECK(broken.error().sys_errno == EPIPE);
}

TEST_CASE_METHOD(LoopFixture, "Accepting nothing is not an error, having no descriptor left is") {
  const auto listener = testing::listen_somewhere();
  CHECK_FALSE(accept_tcp(listener.fd.get()).value().has_value());
  const auto waiting = start_connect(listener.at).value();
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  rlimit none = before;
  none.rlim_cur = 0;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const auto refused = accept_tcp(listener.fd.get());
  const auto not_opened = start_connect(listener.at);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(refused.error().code == Errc::out_of_descriptors);
  CHECK(not_opened.error().code == Errc::out_of_descriptors);
  const auto accepted = accept_tcp(listener.fd.get()).value();
  REQUIRE(accepted.has_value());
  CHECK(accepted->peer == local_endpoint(waiting.get()).value());
}

TEST_CASE_METHOD(LoopFixture, "Listening shares a port only when asked to") {
  const auto first = testing::listen_somewhere();
  const auto again = listen_tcp(first.at, 16, PortSharing::exclusive);
  REQUIRE_FALSE(again.has_value());
  CHECK(again.error().sys_errno == EADDRINUSE);
  CHECK(again.error().detail.find(first.at.text()) != std::string::npos);
  const auto shared = listen_tcp({parsed("127.0.0.1"), 0}, 16, PortSharing::shared).value();
  CHECK(listen_tcp(local_endpoint(shared.get()).value(), 16, PortSharing::shared).has_value());
}

TEST_CASE_METHOD(LoopFixture, "Only a listener on :: takes IPv4 as well, as mapped addresses") {
  const auto all = listen_tcp({parsed("::"), 0}, 16, PortSharing::exclusive).value();
  const auto port = local_endpoint(all.get()).value().port;
  const auto client = start_connect({parsed("127.0.0.1"), port}).value();
  const auto accepted = accept_tcp(all.get()).value();
  REQUIRE(accepted.has_value());
  CHECK(accepted->peer.address == parsed("::ffff:127.0.0.1"));
  CHECK(accepted->peer.unmapped() == local_endpoint(client.get()).value());
  CHECK_FALSE(original_destination(accepted->fd.get()).has_value());
}

}  // namespace
}  // namespace warder::net
