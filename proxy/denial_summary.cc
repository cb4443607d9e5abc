#include "proxy/denial_summary.h"

#include <string_view>
#include <utility>

namespace warder::proxy {
namespace {

// OPA may have decided, and its log is joined by the id of the request. The breaker bounds how many
// there are.
bool may_be_decided(std::string_view code) {
  return code.starts_with("opa_") && code != "opa_breaker_open" && code != "opa_queue_full";
}

}  // namespace

bool DenialSummary::admit(const DecisionRecord& record, Clock::time_point now) {
  if (record.verdict == Verdict::allow) return true;
  // One for each open tunnel at most, so there is no flood of them.
  if (record.code == "revoked" || record.code == "undecidable") return true;
  Seen* const seen = find(record, now);
  if (seen == nullptr) return true;
  if (seen->told < kToldOneByOne) {
    ++seen->told;
    return true;
  }
  ++seen->untold;
  seen->verdict = record.verdict;
  seen->last_request_id = record.subject.request_id;
  seen->last_decision_id = record.subject.decision_id;
  return false;
}

DenialSummary::Seen* DenialSummary::find(const DecisionRecord& record, Clock::time_point now) {
  const Subject& subject = record.subject;
  // One program that asks for ever other hosts is one flood.
  if (record.code != "denial_rate") {
    Seen* const seen =
        enter({subject.binary, subject.host, subject.port, record.code}, kMaxKinds, now);
    if (seen != nullptr || subject.decision_id || may_be_decided(record.code)) return seen;
  }
  Seen* const seen = enter({subject.binary, {}, {}, record.code}, kMaxWiderKinds, now);
  return seen != nullptr ? seen : enter({{}, {}, {}, record.code}, kinds_.size() + 1, now);
}

DenialSummary::Seen* DenialSummary::enter(Like like, std::size_t most, Clock::time_point now) {
  const auto found = kinds_.find(like);
  if (found != kinds_.end()) return &found->second;
  if (kinds_.size() >= most) return nullptr;
  Seen& seen = kinds_.emplace(std::move(like), Seen{}).first->second;
  seen.since = now;
  return &seen;
}

std::vector<RepeatedDenial> DenialSummary::expire(Clock::time_point now) {
  return take(now, kWindow);
}

std::vector<RepeatedDenial> DenialSummary::flush(Clock::time_point now) {
  return take(now, Clock::duration::zero());
}

std::vector<RepeatedDenial> DenialSummary::take(Clock::time_point now, Clock::duration age) {
  std::vector<RepeatedDenial> ended;
  for (auto at = kinds_.begin(); at != kinds_.end();) {
    const Like& like = at->first;
    Seen& seen = at->second;
    if (now - seen.since < age) {
      ++at;
      continue;
    }
    if (seen.untold > 0) {
      ended.push_back({seen.verdict, like.binary, like.host, like.port, like.code, seen.untold,
                       std::chrono::duration_cast<std::chrono::milliseconds>(now - seen.since),
                       std::move(seen.last_request_id), std::move(seen.last_decision_id)});
    }
    at = kinds_.erase(at);
  }
  return ended;
}

}  // namespace warder::proxy
