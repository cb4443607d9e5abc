#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "opa-client/query.h"

namespace warder::bench {

using Clock = std::chrono::steady_clock;

// How long each exchange took, in the order they ended. Empty when anything went wrong.
using Latencies = std::vector<Clock::duration>;

struct Work {
  std::string socket;
  opa::Query query;
  std::size_t at_once = 1;
  std::size_t exchanges = 1000;
  std::chrono::milliseconds pause{0};  // after each answer
};

// What can't be beaten: `at_once` blocking connections' worth of write, wait and read of known
// bytes, on one thread.
[[nodiscard]] Latencies run_bare(const Work& work);
// The same questions by opa::Client on a loop.
[[nodiscard]] Latencies run_client(const Work& work);

}  // namespace warder::bench
