#include "histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace warder::bench {
namespace {

// Up to 128 ns one bucket a nanosecond; above, each power of two has 64 of equal width.
constexpr unsigned kStepBits = 6;
constexpr std::uint64_t kSteps = std::uint64_t{1} << kStepBits;
constexpr std::size_t kBuckets = 2 * kSteps + (64 - kStepBits - 1) * kSteps;

std::size_t bucket_of(std::uint64_t ns) {
  if (ns < 2 * kSteps) return static_cast<std::size_t>(ns);
  const auto shift = static_cast<unsigned>(std::bit_width(ns)) - kStepBits - 1;
  return static_cast<std::size_t>(shift * kSteps + (ns >> shift));
}

double middle_ns(std::size_t bucket) {
  if (bucket < 2 * kSteps) return static_cast<double>(bucket);
  const std::uint64_t shift = bucket / kSteps - 1;
  const std::uint64_t step = bucket - shift * kSteps;
  return std::ldexp(static_cast<double>(step) + 0.5, static_cast<int>(shift));
}

}  // namespace

void Histogram::add(std::chrono::nanoseconds latency) {
  if (buckets_.empty()) buckets_.resize(kBuckets);
  ++buckets_[bucket_of(static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0)))];
  ++count_;
}

double Histogram::percentile_us(double percent) const {
  if (count_ == 0) return 0;
  const auto rank = static_cast<std::uint64_t>(
      std::max(1.0, std::ceil(static_cast<double>(count_) * percent / 100)));
  std::uint64_t below = 0;
  for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    below += buckets_[bucket];
    if (below >= rank) return middle_ns(bucket) / 1e3;
  }
  return 0;
}

}  // namespace warder::bench
