#pragma once

#include "proxy/config.h"

namespace warder::proxy {

// Runs the gate until SIGTERM or SIGINT has drained it (a second one ends it at once). Returns the
// exit code: 0, or 1 when it could not start. Records go to standard output.
int run_server(const Config& config);

}  // namespace warder::proxy
