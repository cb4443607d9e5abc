#pragma once

#include <cstddef>
#include <span>

#include "identity/bpf/records.h"
#include "identity/kernel_view.h"

namespace warder::identity::bpf {

[[nodiscard]] KernelTask to_kernel_task(const TaskId& id);

// What a pass has written, all of it. Errors: system, for what is no whole record.
[[nodiscard]] Result<SocketPass> parse_pass(std::span<const std::byte> written);

}  // namespace warder::identity::bpf
