#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/loop.h"
#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::proxy {

// Connecting to the first of several addresses that answers (RFC 8305: alternating families, the
// next attempt 250 ms after the last or at once when it failed). Destroying it cancels and closes
// every attempt.
class Dial {
 public:
  virtual ~Dial() = default;
};

struct Dialled {
  net::UniqueFd fd;
  net::Endpoint origin;
};

// `addresses` is not empty and only these are dialled. The callback runs once, never before dial()
// has returned, and may destroy the dial. Errors: timed_out after `timeout` (of all attempts
// together), else the last attempt's error, which names the address.
[[nodiscard]] std::unique_ptr<Dial> dial(net::Loop& loop,
                                         const std::vector<net::IpAddress>& addresses,
                                         std::uint16_t port, std::chrono::milliseconds timeout,
                                         std::function<void(Result<Dialled>)> callback);

}  // namespace warder::proxy
