#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdio>

#include "identity/proc_resolver.h"
#include "net/socket.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/sockets.h"

namespace warder::identity {

TEST_CASE_METHOD(testing::LoopFixture, "a socket of this process is resolved", "[identity]") {
  auto resolver = make_proc_resolver({});
  REQUIRE(resolver);
  const auto pair = testing::tcp_pair();
  const Connection connection{
      *net::local_endpoint(pair.near.get()), *net::peer_endpoint(pair.near.get()), {}};
  std::optional<Identity> identity;
  const auto lookup =
      (*resolver)->start(connection, loop(), [&](Identity found) { identity = found; });
  REQUIRE(run_until([&] { return identity.has_value(); }));
  INFO(identity->detail);
  REQUIRE(identity->grade == Grade::exact);
  REQUIRE(identity->binary() != nullptr);
}

}  // namespace warder::identity
