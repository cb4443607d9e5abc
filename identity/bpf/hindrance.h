#pragma once

#include <string>

#include "net/error.h"

namespace warder::identity::bpf {

// Why the BPF part failed with `error`, for who has to put it right: which capability, which
// kernel, which setting; else what the kernel said. `proc_root` is a descriptor of /proc.
[[nodiscard]] std::string explain(const Error& error, int proc_root);

}  // namespace warder::identity::bpf
