#pragma once

#include <cstdint>

#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::identity::bpf {

// A TCP socket of our own that has called connect(2), for trying things on.
struct OwnSocket {
  net::UniqueFd fd;
  std::uint64_t inode = 0;
  std::uint64_t cookie = 0;
};
[[nodiscard]] Result<OwnSocket> connect_own_socket();

}  // namespace warder::identity::bpf
