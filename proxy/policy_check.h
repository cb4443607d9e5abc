#pragma once

#include <optional>
#include <string>
#include <vector>

#include "proxy/policy_programs.h"
#include "proxy/policy_source.h"

namespace warder::proxy {

// `warder policy check`: what is wrong with policies, and what the programs that they list are
// below a root directory.

struct PolicyReport {
  std::vector<PolicyProblem> problems;  // errors first
  std::vector<ProgramReport> programs;  // where a root was given
  std::string note;                     // one sentence about what was looked at; may be empty
};

struct RootSpec {
  std::string directory;
  std::optional<Writer> user;  // nullopt: of the process whose root it is; else anybody
};

// Blocks. Errors: as evaluate(), and where the root can't be opened.
[[nodiscard]] Result<PolicyReport> check_policy(const PolicySource& source,
                                                const std::optional<RootSpec>& root);

[[nodiscard]] bool has_errors(const PolicyReport& report);

// One line for each problem: "FILE:LINE: error: PATH: …". Printable ASCII.
[[nodiscard]] std::string lines_of(const std::vector<PolicyProblem>& problems);
[[nodiscard]] std::string as_text(const PolicyReport& report);
// One JSON object in one line.
[[nodiscard]] std::string as_json(const PolicyReport& report);

struct BuiltPolicy {
  std::string revision;
  std::vector<PolicyProblem> warnings;
};

// `warder policy build`: makes `directory` if need be, and puts its data.json in place in one step.
// Errors: as evaluate(); bad_config where the policies have errors (the first is in the text); from
// the system.
[[nodiscard]] Result<BuiltPolicy> build_policy(const PolicySource& source,
                                               const std::string& directory);

}  // namespace warder::proxy
