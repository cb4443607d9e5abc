#include "tests/component/proxy/relay_fixture.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <random>

namespace warder::proxy {

void Peer::step() {
  if (!fd) return;
  sent += testing::write_available(fd.get(), std::string_view(to_send).substr(sent));
  if (end_after && sent == to_send.size()) {
    net::shutdown_write(fd.get());
    end_after = false;
  }
  std::array<char, 65536> buffer{};
  while (reading && !ended && broken == 0) {
    const auto moved = net::read_some(fd.get(), buffer);
    if (!moved) {
      broken = moved.error().sys_errno;
    } else if (moved->end) {
      ended = true;
    } else if (moved->would_block) {
      break;
    } else {
      got.append(buffer.data(), moved->bytes);
    }
  }
}

void RelayFixture::start(RelayOptions options, std::string to_origin, std::string to_client) {
  auto started =
      start_relay(loop(), std::move(near_client), std::move(near_origin), std::move(to_origin),
                  std::move(to_client), options, [this](RelayEnd ended) {
                    CHECK_FALSE(end.has_value());
                    end = std::move(ended);
                  });
  REQUIRE(started.has_value());
  relay = std::move(*started);
  CHECK_FALSE(end.has_value());
}

bool RelayFixture::pump_until(const std::function<bool()>& done) {
  return run_until([&] {
    client.step();
    origin.step();
    return done();
  });
}

std::string noise(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  std::string bytes;
  bytes.reserve(size + 8);
  while (bytes.size() < size) {
    const auto word = random();
    for (unsigned shift = 0; shift < 64; shift += 8) bytes += static_cast<char>(word >> shift);
  }
  bytes.resize(size);
  return bytes;
}

}  // namespace warder::proxy
