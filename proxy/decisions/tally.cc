#include "proxy/decisions/tally.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace warder::decisions {
namespace {

constexpr std::size_t kPartBits = 4;

// Below 16 each number has a class of its own, above each power of two has 16.
std::size_t class_of(std::uint64_t value) {
  constexpr std::uint64_t kParts = 1U << kPartBits;
  if (value < kParts) return static_cast<std::size_t>(value);
  const auto power = static_cast<std::size_t>(std::bit_width(value)) - 1;
  const auto part = static_cast<std::size_t>(value >> (power - kPartBits)) & (kParts - 1);
  return (power - kPartBits + 1) * kParts + part;
}

std::uint64_t upper_end(std::size_t index) {
  constexpr std::size_t kParts = 1U << kPartBits;
  if (index < kParts) return index;
  const std::size_t shift = index / kParts - 1;
  const std::uint64_t lower = static_cast<std::uint64_t>(kParts + index % kParts) << shift;
  return lower + (std::uint64_t{1} << shift) - 1;
}

}  // namespace

void Tally::add(std::string_view text, std::uint64_t times) {
  std::string key(text.substr(0, kLongest));
  const auto known = counts_.find(key);
  if (known != counts_.end()) {
    known->second.count += times;
    return;
  }
  if (counts_.size() == most_) forget_rare();
  counts_.emplace(std::move(key), Seen{times, forgotten_});
}

void Tally::forget_rare() {
  std::vector<std::uint64_t> most;
  most.reserve(counts_.size());
  for (const auto& [text, seen] : counts_) most.push_back(seen.count + seen.missing);
  const auto middle = most.begin() + static_cast<std::ptrdiff_t>(most.size() / 2);
  std::nth_element(most.begin(), middle, most.end());
  const std::uint64_t limit = *middle;
  std::erase_if(counts_, [&](const auto& entry) {
    return entry.second.count + entry.second.missing <= limit;
  });
  forgotten_ = std::max(forgotten_, limit);
}

std::vector<Tally::Count> Tally::top(std::size_t how_many) const {
  std::vector<Count> found;
  found.reserve(counts_.size());
  for (const auto& [text, seen] : counts_) found.push_back({text, seen.count, seen.missing});
  const std::size_t kept = std::min(how_many, found.size());
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(kept), found.end(),
                    [](const Count& a, const Count& b) {
                      return a.count != b.count ? a.count > b.count : a.text < b.text;
                    });
  found.resize(kept);
  return found;
}

void Latencies::add(std::uint64_t nanoseconds) {
  ++classes_[std::min(class_of(nanoseconds), classes_.size() - 1)];
  ++count_;
  greatest_ = std::max(greatest_, nanoseconds);
}

std::uint64_t Latencies::quantile(double part) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(count_)));
  std::uint64_t so_far = 0;
  for (std::size_t i = 0; i < classes_.size(); ++i) {
    so_far += classes_[i];
    if (so_far >= wanted && so_far > 0) return std::min(upper_end(i), greatest_);
  }
  return greatest_;
}

}  // namespace warder::decisions
