#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/policy_source.h"
#include "proxy/policy_writer.h"

namespace warder::proxy {

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

// Programs that have others connect for them, by the name of their file.
struct RealCaller {
  std::string_view name, caller;
};
inline constexpr std::array<RealCaller, 6> kRealCallers{{
    {"apt", "/usr/lib/apt/methods/http (and https)"},
    {"apt-get", "/usr/lib/apt/methods/http (and https)"},
    {"aptitude", "/usr/lib/apt/methods/http (and https)"},
    {"docker", "the engine (dockerd or containerd)"},
    {"git", "/usr/lib/git-core/git-remote-http (https too), and ssh for ssh remotes"},
    {"scp", "/usr/bin/ssh"},
}};

// One for each different path of a binary or of those that start it, in order. `root` is an open
// directory. May wait for a file system.
[[nodiscard]] std::vector<ProgramReport> look_at_programs(int root,
                                                          std::span<const PolicyBinary> binaries,
                                                          const Writer& writer);

// Whether `pattern` stands for `path`: "*" for any bytes of one segment, "**" for any bytes.
[[nodiscard]] bool matches_path(std::string_view pattern, std::string_view path);

}  // namespace warder::proxy
