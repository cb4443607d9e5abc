#pragma once

#include "proxy/config.h"

namespace warder::proxy {

// The command line: `warder run`, `identify`, `doctor`, `check FILE`, `config-reference`,
// `--version`. `run` gets the loaded configuration and returns the exit code: 0 well, 1 failed at
// run time. `identify` is 1 when nobody was found, `doctor` when something can't work.
// Wrong usage and bad configuration are 2, told on standard error. Takes the process's environment.
[[nodiscard]] int cli_main(int argc, char** argv, int (*run)(const Config&));

}  // namespace warder::proxy
