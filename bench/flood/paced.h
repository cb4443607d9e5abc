#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "http/histogram.h"
#include "net/address.h"
#include "net/result.h"
#include "slow_moments.h"

namespace warder::bench {

// Requests at a steady rate, however long their answers take.
struct Pace {
  net::Endpoint gate;
  bool connect = false;  // CONNECT, each over a new connection; else GET, keep-alive
  std::uint64_t requests = 0;
  double per_second = 0;
  std::size_t at_once = 1;  // as many may be under way; above, they are late
};

struct Answer {
  std::chrono::steady_clock::time_point due, whole;
};

struct Answers {
  std::map<int, std::uint64_t> by_status;
  std::vector<Answer> each;

  // From when a request was due until its answer was whole; of those that were due in none of these
  // moments, nor shortly before one. How long an answer took has no part in that.
  [[nodiscard]] Histogram latency(const std::vector<SlowMoment>& without = {}) const;
};

// Makes all of them, and returns when the last is answered. `authority` says where the nth goes,
// and runs on several threads. Errors: those of sockets; timed_out, no answer for 20 s;
// bad_response.
[[nodiscard]] Result<Answers> ask_at_pace(
    const Pace& pace, const std::function<std::string(std::uint64_t)>& authority);

}  // namespace warder::bench
