#pragma once

#include <optional>
#include <string>

#include "net/error.h"
#include "proxy/record.h"

namespace warder::proxy {

// When a client that was refused for a limit may come again.
inline constexpr int kRetryAfterSeconds = 5;

// Why a request is not carried out, as the record says it and the client is answered.
struct Failure {
  Verdict verdict = Verdict::error;
  std::string code;    // stable
  std::string reason;  // one sentence, raw bytes
  int status = 503;
  std::optional<int> retry_after_s;
};

// 4xx for what the request did wrong, 502 and 504 for names and origins, 503 where there is no
// decision.
[[nodiscard]] Failure failure_of(const Error& error);

// Writes the outcome into the record.
void set_outcome(DecisionRecord& record, const Failure& failure);

}  // namespace warder::proxy
