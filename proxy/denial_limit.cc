#include "proxy/denial_limit.h"

#include <algorithm>
#include <functional>

namespace warder::proxy {
namespace {

constexpr double kBurstSeconds = 2;

std::size_t hash_of(std::string_view text) { return std::hash<std::string_view>{}(text); }

}  // namespace

bool DenialLimit::admits(std::string_view caller, std::string_view question,
                         Clock::time_point now) {
  if (!enabled()) return true;
  const std::lock_guard lock(mutex_);
  const auto found = by_caller_.find(caller);
  if (found == by_caller_.end()) return true;
  Bucket& bucket = *found->second;
  fill(bucket, now);
  return bucket.tokens >= 1 || by_question_.contains(hash_of(question));
}

void DenialLimit::note(std::string_view caller, std::string_view question, bool allowed,
                       Clock::time_point now) {
  if (!enabled()) return;
  const std::lock_guard lock(mutex_);
  if (allowed) return remember(hash_of(question));
  if (const auto asked = by_question_.find(hash_of(question)); asked != by_question_.end()) {
    allowed_.erase(asked->second);
    by_question_.erase(asked);
  }
  const auto known = by_caller_.find(caller);
  if (known == by_caller_.end()) {
    if (buckets_.size() >= kMaxCallers) {
      by_caller_.erase(buckets_.back().caller);
      buckets_.pop_back();
    }
    buckets_.push_front({std::string(caller), per_second_ * kBurstSeconds, now});
    by_caller_.emplace(buckets_.front().caller, buckets_.begin());
  } else {
    buckets_.splice(buckets_.begin(), buckets_, known->second);
  }
  Bucket& bucket = buckets_.front();
  fill(bucket, now);
  bucket.tokens = std::max(bucket.tokens - 1, 0.0);
}

void DenialLimit::fill(Bucket& bucket, Clock::time_point now) const {
  const double passed = std::chrono::duration<double>(now - bucket.filled_at).count();
  bucket.filled_at = now;
  bucket.tokens =
      std::min(bucket.tokens + std::max(passed, 0.0) * per_second_, per_second_ * kBurstSeconds);
}

void DenialLimit::remember(Hash question) {
  if (const auto found = by_question_.find(question); found != by_question_.end()) {
    return allowed_.splice(allowed_.begin(), allowed_, found->second);
  }
  if (allowed_.size() >= kMaxAllowed) {
    by_question_.erase(allowed_.back());
    allowed_.pop_back();
  }
  allowed_.push_front(question);
  by_question_.emplace(question, allowed_.begin());
}

}  // namespace warder::proxy
