#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace warder::proxy {

// Keeps a caller whose questions are denied again and again from taking OPA's time from the others:
// each caller may be denied so many times a second, and twice as many at once. Then its questions
// are held back, but for those it was last allowed: these cost nothing, and a caller that is denied
// much is not cut off from what it may do. Bounded; the caller, or the allowed question, seen
// longest ago is forgotten first, which lets it ask again. Any thread.
class DenialLimit {
 public:
  using Clock = std::chrono::steady_clock;

  static constexpr std::size_t kMaxCallers = 4096;
  static constexpr std::size_t kMaxAllowed = 16384;

  // 0: nothing is held back.
  explicit DenialLimit(std::size_t per_second) : per_second_(static_cast<double>(per_second)) {}
  DenialLimit(const DenialLimit&) = delete;
  DenialLimit& operator=(const DenialLimit&) = delete;
  ~DenialLimit() = default;

  [[nodiscard]] bool enabled() const { return per_second_ > 0; }
  // Whether OPA may be asked. `caller` is the caller_key() of the question, `question` its
  // reuse_key().
  [[nodiscard]] bool admits(std::string_view caller, std::string_view question,
                            Clock::time_point now);
  // What OPA answered.
  void note(std::string_view caller, std::string_view question, bool allowed,
            Clock::time_point now);

 private:
  // Of a question: one taken for another is asked about once too often, and decided by OPA. A
  // caller's whole key is kept: nobody may be held back for another.
  using Hash = std::size_t;
  struct Bucket {
    std::string caller;
    double tokens = 0;
    Clock::time_point filled_at;
  };

  void fill(Bucket& bucket, Clock::time_point now) const;
  void remember(Hash question);

  const double per_second_;
  std::mutex mutex_;           // guards what follows
  std::list<Bucket> buckets_;  // the last denied first
  // Keys are those of the buckets.
  std::unordered_map<std::string_view, std::list<Bucket>::iterator> by_caller_;
  std::list<Hash> allowed_;  // the last first
  std::unordered_map<Hash, std::list<Hash>::iterator> by_question_;
};

}  // namespace warder::proxy
