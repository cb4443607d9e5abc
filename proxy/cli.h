#pragma once

#include "proxy/config.h"

namespace warder::proxy {

// The command line: `warder run`, `warder check FILE`, `warder config-reference`, `--version`.
// `run` gets the loaded configuration and returns the exit code: 0 well, 1 failed at run time.
// Wrong usage and bad configuration are 2, told on standard error. Takes the process's environment.
[[nodiscard]] int cli_main(int argc, char** argv, int (*run)(const Config&));

}  // namespace warder::proxy
