#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/result.h"
#include "proxy/policy_source.h"

namespace warder::proxy {

// Who runs in the sandbox, without capabilities.
struct SandboxUser {
  uid_t uid = 0;
  gid_t gid = 0;
};

// What a path or pattern that policies list is below a root directory.
struct ProgramReport {
  std::string path;         // as the policy writes it
  std::string first_entry;  // "network_policies/web/binaries/0", or that and "/started_by"
  std::size_t entries = 0;  // how many list it
  std::string resolves_to;  // without links; empty where there is nothing, or it is a pattern
  std::vector<std::string> links;    // "/usr/bin/python3 -> python3.11"
  std::vector<std::string> matches;  // of a pattern, the first few
  std::vector<std::string> warnings;
};

// One for each different path of a binary or of those that start it, in order. `root` is an open
// directory. May wait for a file system.
[[nodiscard]] std::vector<ProgramReport> look_at_programs(int root,
                                                          std::span<const PolicyBinary> binaries,
                                                          const std::optional<SandboxUser>& user);

// Whether `pattern` stands for `path`: "*" for any bytes of one segment, "**" for any bytes.
[[nodiscard]] bool matches_path(std::string_view pattern, std::string_view path);

// "1000" or "1000:1000" (the group is the user's number where there is none). Errors: bad_config.
[[nodiscard]] Result<SandboxUser> parse_user(const std::string& text);

}  // namespace warder::proxy
