#include "proxy/connection_limits.h"

#include <catch2/catch_test_macros.hpp>
#include <utility>
#include <vector>

namespace {

using warder::net::IpAddress;
using warder::proxy::ConnectionLimits;

const IpAddress kOne = *IpAddress::parse("10.0.0.1");
const IpAddress kTwo = *IpAddress::parse("10.0.0.2");

TEST_CASE("connections are limited by client and in all, and given back") {
  ConnectionLimits limits({3, 2, 1});
  std::vector<ConnectionLimits::Slot> held;
  const auto take = [&](const IpAddress& client) {
    ConnectionLimits::Taken taken = limits.take_connection(client);
    if (taken.slot) held.push_back(std::move(*taken.slot));
    return taken.slot.has_value();
  };
  CHECK(take(kOne));
  CHECK(take(kOne));
  CHECK(limits.take_connection(kOne).full == ConnectionLimits::Full::client);
  CHECK_FALSE(take(kOne));
  CHECK(take(kTwo));
  CHECK(limits.take_connection(kTwo).full == ConnectionLimits::Full::total);
  held.clear();
  CHECK(limits.connections() == 0);
  CHECK(take(kOne));
}

TEST_CASE("one program has so many connections and no more") {
  ConnectionLimits limits({10, 10, 1});
  auto first = limits.take_identity("0 /usr/bin/curl");
  CHECK(first);
  CHECK_FALSE(limits.take_identity("0 /usr/bin/curl"));
  CHECK(limits.take_identity("0 /usr/bin/wget"));
  first.reset();
  CHECK(limits.take_identity("0 /usr/bin/curl"));
}

TEST_CASE("a descriptor limit lowers what is configured, never below one") {
  CHECK(warder::proxy::connections_for_descriptors(5, 0) == 5);
  CHECK(warder::proxy::connections_for_descriptors(100, 1U << 30U) == 1);
  CHECK(warder::proxy::connections_for_descriptors(1U << 30U, 0) < (1U << 30U));
}

}  // namespace
