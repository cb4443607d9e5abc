#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/error.h"
#include "net/http/head.h"
#include "proxy/record.h"

namespace warder::proxy {

// An answer of our own that opens nothing.
struct Refusal {
  int status = 503;
  std::string code;    // stable, as in the record
  std::string reason;  // one sentence, raw bytes
  Subject subject;
  std::optional<int> retry_after_s;
  bool keep_alive = false;  // another request may come on the same connection
  bool head = false;        // it answers HEAD: without a body
};

// The status with which a failure is answered: 4xx for what the request did wrong, 502 and 504 for
// names and origins, 503 where there is no decision.
[[nodiscard]] int status_for(Errc code);

// The whole response: status line with the code in its reason phrase, Proxy-Status (RFC 9209), ids,
// and a problem document (RFC 9457) that says which binary, host and port, and why. Whatever comes
// from a peer is escaped; ASCII only, lengths bounded.
[[nodiscard]] std::string render(const Refusal& refusal);

// The ids, as headers of an answer.
[[nodiscard]] std::vector<http::Header> id_headers(const Subject& subject);

// A whole answer of our own that is no refusal: 200 with `body`.
[[nodiscard]] std::string own_answer(const Subject& subject, std::string_view content_type,
                                     std::string_view body, bool keep_alive);

// The head that opens a tunnel.
[[nodiscard]] std::string established_head(const Subject& subject);

}  // namespace warder::proxy
