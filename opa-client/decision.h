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
  std::optional<std::string> decision_id;
};

// Strict: an object or a boolean under `result`, `allow` a JSON boolean, no key twice anywhere,
// known keys of the right type (unknown ones are ignored), UTF-8, nothing after the document, depth
// and lengths bounded. Errors: opa_not_json, opa_bad_answer; `detail` names the key or the byte.
[[nodiscard]] Result<Decision> parse_answer(std::string_view body);

}  // namespace warder::opa
