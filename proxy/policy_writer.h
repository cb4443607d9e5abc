#pragma once

#include <optional>
#include <string>

#include "identity/proc_files.h"
#include "net/result.h"

namespace warder::proxy {

// Who may change which programs are in a sandbox.
struct Writer {
  std::string name;  // "user 1000", "anybody"
  identity::ProcStatus credentials;
  bool capable = false;  // its capabilities count too
  std::string note;      // to be told where it was not asked for: one sentence, or empty
};

// "1000" or "1000:1000" (the group is the user's number where there is none), without capabilities.
// Errors: bad_config.
[[nodiscard]] Result<Writer> parse_user(const std::string& text);

// No user in particular: what is open to all.
[[nodiscard]] Writer anybody();

// The process of a procfs whose root `directory` is (/proc/PID/root), as it runs now; nullopt for
// another directory. Errors: bad_config: its credentials can't be read.
[[nodiscard]] Result<std::optional<Writer>> process_with_root(const std::string& directory);

}  // namespace warder::proxy
