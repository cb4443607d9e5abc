#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace warder::decisions {

// Counts how often each of many texts came, in bounded memory. Exact while there are at most `most`
// different ones. Beyond that rare ones are forgotten, and a count may be too small, by no more
// than it says (the batched form of Misra and Gries, "Finding repeated elements", 1982).
class Tally {
 public:
  static constexpr std::size_t kLongest = 512;  // bytes; longer texts count by their beginning

  struct Count {
    std::string text;
    std::uint64_t count = 0;    // seen for certain
    std::uint64_t missing = 0;  // at most this many more
  };

  // `most` is at least 2.
  explicit Tally(std::size_t most) : most_(most) {}

  void add(std::string_view text, std::uint64_t times = 1);
  // The most frequent, by `count`, then by text.
  [[nodiscard]] std::vector<Count> top(std::size_t how_many) const;
  // A text that top() doesn't know came at most so often; 0: there is none.
  [[nodiscard]] std::uint64_t forgotten() const { return forgotten_; }
  [[nodiscard]] std::size_t size() const { return counts_.size(); }

 private:
  struct Seen {
    std::uint64_t count = 0;
    std::uint64_t missing = 0;
  };
  void forget_rare();

  const std::size_t most_;
  std::unordered_map<std::string, Seen> counts_;
  std::uint64_t forgotten_ = 0;
};

// Durations, in classes that are at most a sixteenth wide.
class Latencies {
 public:
  void add(std::uint64_t nanoseconds);
  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t greatest() const { return greatest_; }
  // What a part of them (0 < part <= 1) is not above: the upper end of its class. 0 without any.
  [[nodiscard]] std::uint64_t quantile(double part) const;

 private:
  static constexpr std::size_t kParts = 16;
  std::array<std::uint64_t, 64 * kParts> classes_{};
  std::uint64_t count_ = 0;
  std::uint64_t greatest_ = 0;
};

}  // namespace warder::decisions
