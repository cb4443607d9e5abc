#include "opa-client/answer_reuse.h"

#include <iterator>
#include <utility>

namespace warder::opa {
namespace {

using std::chrono::nanoseconds;

std::size_t bytes_of(const std::string& key, const Decision& decision) {
  std::size_t bytes = key.size() + sizeof(Decision) + sizeof(std::string);
  for (const auto* text : {&decision.reason, &decision.policy, &decision.enforcement,
                           &decision.revision, &decision.sni, &decision.decision_id}) {
    if (*text) bytes += (*text)->size();
  }
  for (const std::string& range : decision.allowed_ips) bytes += range.size() + sizeof(std::string);
  return bytes;
}

// How long the answer may be given again, at most `most`. The policy's number may be of any size.
nanoseconds age_of(const Decision& decision, std::chrono::milliseconds most) {
  if (!decision.allow || decision.would_deny || !decision.revision) return nanoseconds{0};
  const double limit = std::chrono::duration<double>(most).count();
  if (decision.max_age >= limit) return most;
  return std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(decision.max_age));
}

}  // namespace

AnswerReuse::AnswerReuse(ReuseOptions options, net::Clock now)
    : options_(options), now_(std::move(now)) {}

void AnswerReuse::remember(const std::string& key, const Decision& decision) {
  saw_revision(decision.revision);
  const auto there = index_.find(key);
  if (there != index_.end()) erase(there->second);
  const nanoseconds age = age_of(decision, options_.max_age);
  const std::size_t bytes = bytes_of(key, decision);
  if (age <= nanoseconds{0} || options_.entries == 0 || bytes > options_.bytes) return;
  while (order_.size() >= options_.entries || bytes_ + bytes > options_.bytes) {
    erase(std::prev(order_.end()));
  }
  order_.push_front({key, decision, now_() + age, bytes});
  index_.emplace(order_.front().key, order_.begin());
  bytes_ += bytes;
}

const Decision* AnswerReuse::find(const std::string& key) {
  const auto there = index_.find(key);
  if (there == index_.end()) return nullptr;
  const auto entry = there->second;
  if (now_() >= entry->good_until) {
    erase(entry);
    return nullptr;
  }
  order_.splice(order_.begin(), order_, entry);
  return &entry->decision;
}

bool AnswerReuse::saw_revision(const std::optional<std::string>& revision) {
  if (revision == revision_) return false;
  index_.clear();
  order_.clear();
  bytes_ = 0;
  revision_ = revision;
  ++changes_;
  return true;
}

void AnswerReuse::erase(Order::iterator entry) {
  bytes_ -= entry->bytes;
  index_.erase(entry->key);
  order_.erase(entry);
}

}  // namespace warder::opa
