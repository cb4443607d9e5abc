#include "sample.h"

#include <ctime>

namespace warder::bench {
namespace {

constexpr std::size_t kWarmUps = 50;
constexpr std::chrono::milliseconds kWarmUpTime{500};

}  // namespace

bool Progress::go_on(Sample& sample) {
  const auto spent = Clock::now() - begin_;
  if (!warm_) {
    ++warm_ups_;
    if (warm_ups_ < 2 || (warm_ups_ < kWarmUps && spent < kWarmUpTime)) return true;
    warm_ = true;
    sample = Sample{};
    begin_ = Clock::now();
    cpu_begin_ = cpu_us();
    return true;
  }
  const std::size_t done = sample.lookup_us.size();
  if (done < plan_.lookups && (done < plan_.at_least || spent < plan_.time)) return true;
  sample.cpu_us = (cpu_us() - cpu_begin_) / static_cast<double>(done);
  return false;
}

double Progress::cpu_us() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

}  // namespace warder::bench
