#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "identity/resolver.h"

namespace warder::bench {

// A process whose connection is asked about, and what the answer must be.
struct Client {
  pid_t pid = 0;
  std::string path;
  identity::Connection connection;
};

// When to stop: after `lookups`, or when the time is up and there are enough of them.
struct Plan {
  std::size_t lookups = 2000;
  std::size_t at_least = 20;
  std::chrono::milliseconds time{3000};
};

// What was measured. A wave is as many lookups as there are clients, begun together; times count
// from its beginning.
struct Sample {
  std::vector<double> lookup_us;
  std::vector<double> wave_us;  // until the last of them
  double cpu_us = 0;            // of all threads of the process, for each lookup
  std::size_t wrong = 0;        // another process or path than the client's, or not it alone
  std::map<std::string, std::size_t> how;  // what the answers said of themselves, and how often
};

using Clock = std::chrono::steady_clock;

// Decides how long to go on, and keeps the CPU's time.
class Progress {
 public:
  explicit Progress(const Plan& plan) : plan_(plan) {}
  // Between the waves. The first ones only warm up: then the sample is emptied.
  [[nodiscard]] bool go_on(Sample& sample);

 private:
  [[nodiscard]] static double cpu_us();

  const Plan plan_;
  Clock::time_point begin_ = Clock::now();
  std::size_t warm_ups_ = 0;
  bool warm_ = false;
  double cpu_begin_ = 0;
};

inline double us_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

}  // namespace warder::bench
