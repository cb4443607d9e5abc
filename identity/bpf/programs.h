#pragma once

#include <cstddef>
#include <span>

namespace warder::identity::bpf {

// The compiled programs (connector.bpf.c, pass.bpf.c), ELF objects within this one.
[[nodiscard]] std::span<const char> connector_program();
[[nodiscard]] std::span<const char> pass_program();

}  // namespace warder::identity::bpf
