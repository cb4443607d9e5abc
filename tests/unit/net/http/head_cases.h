#pragma once

#include <string>
#include <vector>

namespace warder::http {

// One request head as it comes over the wire. `want` is what the reader must make of it, as
// written by summary() in head_test.cc: the parts of the request, or the error's code; a refusal's
// detail must contain `detail`.
struct HeadCase {
  const char* name;
  std::string raw;
  std::string want;
  std::string detail;
};

[[nodiscard]] std::vector<HeadCase> accepted_heads();
[[nodiscard]] std::vector<HeadCase> refused_request_lines();
[[nodiscard]] std::vector<HeadCase> refused_targets();
[[nodiscard]] std::vector<HeadCase> refused_authorities();
[[nodiscard]] std::vector<HeadCase> refused_headers();
[[nodiscard]] std::vector<HeadCase> refused_header_lines();

}  // namespace warder::http
