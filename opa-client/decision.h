#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/result.h"

namespace warder::opa {

// What the policy answered. Only `allow` opens anything.
struct Decision {
  bool allow = false;
  bool undefined = false;  // no `result`: the policy has nothing to say (allow is false)
  bool would_deny = false;
  std::optional<std::string> reason, policy, enforcement, revision;
  std::vector<std::string> allowed_ips;  // each an address or a CIDR range, checked
  double max_age = 0;                    // seconds
  std::optional<std::string> sni;        // "match": the ClientHello must name the approved host
  // Allowed as what its method says: headers that make an origin take it for another method are
  // not forwarded.
  bool read_only = false;
  std::optional<std::string> decision_id;
};

// Strict: an object or a boolean under `result`, `allow` a JSON boolean that is there, no key twice
// anywhere, known keys of the right type (unknown ones are ignored; null stands for an absent
// text, "" for an absent `revision` too), UTF-8, nothing after the document, depth and lengths
// bounded. `decision_id` is printable ASCII without blanks: it goes into headers. Errors:
// opa_not_json, opa_bad_answer, opa_too_large (above 1 MiB); `detail` names the key or the byte.
[[nodiscard]] Result<Decision> parse_answer(std::string_view body);

// A document that was read.
struct Document {
  std::optional<std::string> result;  // as JSON; nullopt: undefined
};

// As strict as parse_answer() about JSON; the answer must be an object. The same errors.
[[nodiscard]] Result<Document> parse_document(std::string_view body);

// What an answer with a status other than 200 comes to: opa_policy_error where OPA's error document
// names an error of evaluation ("eval_conflict_error"), opa_refused for 413, and for 400 with
// that document's code for a bad question, else opa_status. `detail` is one line: "500
// internal_error: …" from that document, else the status alone. It holds bytes of the peer, at most
// 512.
[[nodiscard]] Error refusal(int status, std::string_view body);

}  // namespace warder::opa
