#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "identity/identity.h"
#include "identity/sandbox.h"

namespace warder::identity {

// A scope, and where its network namespace can be had.
struct Place {
  Scope scope;
  int directory = -1;  // open; net/tcp below it is that namespace's
  std::string link;    // below `directory`: the namespace's own link
  const Sandbox* sandbox = nullptr;
  std::optional<std::uint64_t> network_namespace;  // its number, where it can be told
  bool ours = false;                               // our own, by whatever way
};

}  // namespace warder::identity
