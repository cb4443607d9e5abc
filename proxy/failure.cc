#include "proxy/failure.h"

#include "proxy/refusal.h"

namespace warder::proxy {

Failure failure_of(const Error& error) {
  return {Verdict::error, std::string(code_name(error.code)), describe(error),
          status_for(error.code), std::nullopt};
}

void set_outcome(DecisionRecord& record, const Failure& failure) {
  record.verdict = failure.verdict;
  record.code = failure.code;
  record.reason = failure.reason;
  record.status = failure.status;
}

}  // namespace warder::proxy
