#pragma once

#include <optional>
#include <string>

#include "net/error.h"
#include "proxy/record.h"

namespace warder::proxy {

// An answer of our own that opens nothing.
struct Refusal {
  int status = 503;
  std::string code;    // stable, as in the record
  std::string reason;  // one sentence, raw bytes
  Subject subject;
  std::optional<int> retry_after_s;
};

// The status with which a failure is answered: 4xx for what the request did wrong, 502 and 504 for
// names and origins, 503 where there is no decision.
[[nodiscard]] int status_for(Errc code);

// The whole response: status line with the code in its reason phrase, Proxy-Status (RFC 9209), ids,
// and a problem document (RFC 9457) that says which binary, host and port, and why. Whatever comes
// from a peer is escaped; ASCII only, lengths bounded.
[[nodiscard]] std::string render(const Refusal& refusal);

// The head that opens a tunnel.
[[nodiscard]] std::string established_head(const Subject& subject);

}  // namespace warder::proxy
