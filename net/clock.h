#pragma once

#include <chrono>
#include <functional>

namespace warder::net {

// CLOCK_BOOTTIME: goes on while the machine sleeps, and nobody sets it.
[[nodiscard]] std::chrono::nanoseconds boot_time();

// A clock that tests may replace.
using Clock = std::function<std::chrono::nanoseconds()>;

}  // namespace warder::net
