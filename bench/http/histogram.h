#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace warder::bench {

// Latencies, in buckets at most 1/64 of their value wide. A plain value.
class Histogram {
 public:
  void add(std::chrono::nanoseconds latency);
  // The least latency at or above which no more than (100 - percent) % are, in microseconds; 0 when
  // it is empty.
  [[nodiscard]] double percentile_us(double percent) const;
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::vector<std::uint64_t> buckets_;
  std::uint64_t count_ = 0;
};

}  // namespace warder::bench
