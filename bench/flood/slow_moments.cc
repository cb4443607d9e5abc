#include "slow_moments.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <ctime>

namespace warder::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenPieces{2};
constexpr int kStepsOfPiece = 20'000;
// A neighbour on the same core costs less than the first; a single slow piece is an interrupt.
constexpr int kSlow = 3;
constexpr std::size_t kFewestSlow = 3;
constexpr std::chrono::milliseconds kOneMoment{50};

std::chrono::nanoseconds own_cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// Each step needs the one before, and none needs memory.
std::uint64_t work(std::uint64_t seed) {
  for (int i = 0; i < kStepsOfPiece; ++i) {
    seed ^= seed << 13U;
    seed ^= seed >> 7U;
    seed ^= seed << 17U;
  }
  return seed;
}

}  // namespace

SlowMoments::SlowMoments() : thread_([this](const std::stop_token& stop) { measure(stop); }) {}

void SlowMoments::measure(const std::stop_token& stop) {
  volatile std::uint64_t result = 88'172'645'463'325'252;
  while (!stop.stop_requested()) {
    const auto before = own_cpu_time();
    result = work(result);
    const auto cost = own_cpu_time() - before;
    pieces_.push_back({Clock::now(), cost});
    std::this_thread::sleep_for(kBetweenPieces);
  }
}

std::vector<SlowMoment> SlowMoments::stop() {
  thread_.request_stop();
  thread_.join();
  if (pieces_.empty()) return {};
  std::vector<Piece> by_cost = pieces_;
  const auto middle = by_cost.begin() + static_cast<std::ptrdiff_t>(by_cost.size() / 2);
  std::nth_element(by_cost.begin(), middle, by_cost.end(),
                   [](const Piece& a, const Piece& b) { return a.cost < b.cost; });
  const auto slow = middle->cost * kSlow;

  std::vector<SlowMoment> moments;
  std::size_t found = 0;  // slow pieces of the last moment
  const auto drop_accidents = [&] {
    if (!moments.empty() && found < kFewestSlow) moments.pop_back();
  };
  for (const Piece& piece : pieces_) {
    if (piece.cost <= slow) continue;
    if (moments.empty() || piece.end - moments.back().end > kOneMoment) {
      drop_accidents();
      moments.push_back({piece.end - piece.cost - kBetweenPieces, piece.end});
      found = 0;
    }
    moments.back().end = piece.end;
    ++found;
  }
  drop_accidents();
  for (SlowMoment& moment : moments) moment.end += moment.end - moment.begin;
  return moments;
}

}  // namespace warder::bench
