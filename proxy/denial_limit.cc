#include "proxy/denial_limit.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace warder::proxy {
namespace {

constexpr double kBurstSeconds = 2;

std::size_t hash_of(std::string_view text) { return std::hash<std::string_view>{}(text); }

}  // namespace

std::unique_ptr<DenialLimit::Question> DenialLimit::ask(std::string caller,
                                                        std::string_view question,
                                                        Clock::time_point now) {
  const Hash hash = hash_of(question);
  Question::Price price = Question::Price::none;
  if (enabled()) {
    const std::lock_guard lock(mutex_);
    if (!by_question_.contains(hash)) {
      Bucket* const bucket = find(caller, now);
      const bool clean = bucket == nullptr || bucket->tokens >= most();
      if (!clean && bucket->tokens < 1) return nullptr;
      if (!clean) bucket->tokens -= 1;
      price = clean ? Question::Price::owed : Question::Price::paid;
    }
  }
  return std::unique_ptr<Question>(new Question(*this, std::move(caller), hash, price, now));
}

std::unique_ptr<DenialLimit::Question> DenialLimit::ask_anyway(std::string caller,
                                                               std::string_view question,
                                                               Clock::time_point now) {
  return std::unique_ptr<Question>(
      new Question(*this, std::move(caller), hash_of(question), Question::Price::left, now));
}

double DenialLimit::most() const { return per_second_ * kBurstSeconds; }

DenialLimit::Bucket* DenialLimit::find(std::string_view caller, Clock::time_point now) {
  const auto found = by_caller_.find(caller);
  if (found == by_caller_.end()) return nullptr;
  Bucket& bucket = *found->second;
  buckets_.splice(buckets_.begin(), buckets_, found->second);
  // Another thread may have come first with a later time.
  if (now > bucket.filled_at) {
    const double passed =
        std::chrono::duration<double>(now - std::exchange(bucket.filled_at, now)).count();
    bucket.tokens = std::min(bucket.tokens + passed * per_second_, most());
  }
  return &bucket;
}

void DenialLimit::charge(const std::string& caller, Clock::time_point now, bool may_owe) {
  Bucket* bucket = find(caller, now);
  if (bucket == nullptr) {
    if (buckets_.size() >= kMaxCallers) {
      by_caller_.erase(buckets_.back().caller);
      buckets_.pop_back();
    }
    buckets_.push_front({caller, most(), now});
    bucket = &buckets_.front();
    by_caller_.emplace(bucket->caller, buckets_.begin());
  }
  if (may_owe || bucket->tokens >= 1) bucket->tokens -= 1;
}

void DenialLimit::give_back(std::string_view caller) {
  const auto found = by_caller_.find(caller);
  if (found == by_caller_.end()) return;
  double& tokens = found->second->tokens;
  tokens = std::min(tokens + 1, most());
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

void DenialLimit::forget(Hash question) {
  const auto found = by_question_.find(question);
  if (found == by_question_.end()) return;
  allowed_.erase(found->second);
  by_question_.erase(found);
}

DenialLimit::Question::Question(DenialLimit& limit, std::string caller, Hash question, Price price,
                                Clock::time_point asked_at)
    : limit_(limit),
      caller_(std::move(caller)),
      question_(question),
      price_(price),
      asked_at_(asked_at) {}

DenialLimit::Question::~Question() {
  if (over_ || price_ != Price::owed || !limit_.enabled()) return;
  const std::lock_guard lock(limit_.mutex_);
  limit_.charge(caller_, asked_at_, true);
}

void DenialLimit::Question::answered(bool allowed) {
  over_ = true;
  if (!limit_.enabled()) return;
  const std::lock_guard lock(limit_.mutex_);
  if (allowed) {
    limit_.remember(question_);
    if (price_ == Price::paid) limit_.give_back(caller_);
    return;
  }
  limit_.forget(question_);
  // Also what was expected to be allowed.
  if (price_ != Price::paid) limit_.charge(caller_, asked_at_, price_ != Price::left);
}

void DenialLimit::Question::failed() {
  over_ = true;
  if (price_ != Price::paid) return;
  const std::lock_guard lock(limit_.mutex_);
  limit_.give_back(caller_);
}

}  // namespace warder::proxy
