#pragma once

#include "net/result.h"

namespace warder::bench {

// Moves this process, which has one thread yet, into a new network namespace with nothing in it but
// loopback, so that the sockets there are its own. Errors: system (it needs root).
[[nodiscard]] Result<void> enter_own_network();

}  // namespace warder::bench
