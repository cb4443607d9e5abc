#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "net/unique_fd.h"
#include "net/watcher.h"

namespace warder::proxy {

// The client's end of a connection over which one request may come after the other. Its owner is
// the connection, which passes it to whatever works for the request at hand.
struct ClientPort {
  net::UniqueFd fd;
  std::unique_ptr<net::FdWatcher> watcher;  // after fd: gone before the descriptor is closed
  std::string in;                           // read, and not used yet
  std::string out;                          // not written yet
  bool ended = false;                       // it has said all that it will say

  // Enough was read ahead of its turn: TCP holds back the rest.
  [[nodiscard]] bool full() const { return in.size() >= kMostAhead; }
  static constexpr std::size_t kMostAhead = 65536;
};

}  // namespace warder::proxy
