#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "net/result.h"

namespace warder::proxy {

// What a program that ran to its end wrote.
struct ProgramOutput {
  int exit_code = 0;  // 128 and the signal's number where one ended it
  std::string out, err;
};

struct ProgramLimits {
  std::size_t bytes = std::size_t{256} << 20;  // of standard output and standard error together
  std::chrono::milliseconds time{120000};
};

// Runs `argv` (not empty; the first is looked for in PATH where it has no slash) with this
// process's environment and no standard input. Blocks; beyond a limit the program is killed.
// Errors: not_found where there is no such program; overloaded beyond a limit; system.
[[nodiscard]] Result<ProgramOutput> run_program(const std::vector<std::string>& argv,
                                                const ProgramLimits& limits = {});

}  // namespace warder::proxy
