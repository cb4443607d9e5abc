#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "net/result.h"

namespace warder::proxy {

// Policies as OPA itself reads them: `opa eval` over the policy package and a directory of theirs.
struct PolicySource {
  std::string directory;
  std::string package;      // empty: where it is installed, or the source tree's
  std::string opa = "opa";  // the program
};

struct PolicyProblem {
  enum class Severity { error, warning };
  Severity severity = Severity::error;
  std::string path;     // of the key: "network_policies/web/endpoints/0/port"; may be empty
  std::string problem;  // one sentence
  std::string file;     // where it stands; empty: unknown
  std::size_t line = 0;
};

// An entry in `binaries`.
struct PolicyBinary {
  std::string pointer;  // "network_policies/web/binaries/0"
  std::string path;     // empty: it has none
  bool descendants = false;
  std::vector<std::string> started_by{};
  bool sha256 = false;  // it has one
};

struct Evaluation {
  std::vector<PolicyProblem> problems;
  std::vector<PolicyBinary> binaries;
  std::optional<std::string> index;     // as JSON; where it was wanted
  std::optional<std::string> revision;  // of the index
};

enum class Wanted { binaries, index };

// Blocks. What OPA can't load or compile is one error among the problems, and so is that there are
// no policies; in the place of those an index is as good, where none is wanted. Errors: the
// evaluation could not be made, with the reason in `detail`.
[[nodiscard]] Result<Evaluation> evaluate(const PolicySource& source, Wanted wanted);

// What `opa eval --format json` wrote. Errors: bad_config.
[[nodiscard]] Result<Evaluation> parse_evaluation(const std::string& json);

}  // namespace warder::proxy
