#include "proxy/denial_summary.h"

#include <utility>

namespace warder::proxy {

bool DenialSummary::admit(const DecisionRecord& record, Clock::time_point now) {
  if (record.verdict == Verdict::allow) return true;
  // One for each open tunnel at most, so there is no flood of them.
  if (record.code == "revoked" || record.code == "undecidable") return true;
  const Subject& subject = record.subject;
  Like like{subject.binary, subject.host, subject.port, record.code};
  // One program that asks for ever other hosts is one flood.
  if (record.code == "denial_rate") {
    like.host.reset();
    like.port.reset();
  }
  auto found = kinds_.find(like);
  if (found == kinds_.end()) {
    if (kinds_.size() >= kMaxKinds) return true;
    found = kinds_.emplace(std::move(like), Seen{}).first;
    found->second.since = now;
  }
  Seen& seen = found->second;
  if (seen.told < kToldOneByOne) {
    ++seen.told;
    return true;
  }
  ++seen.untold;
  seen.verdict = record.verdict;
  seen.last_request_id = subject.request_id;
  seen.last_decision_id = subject.decision_id;
  return false;
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
