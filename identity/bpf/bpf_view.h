#pragma once

#include <cstdint>
#include <memory>

#include "identity/abilities.h"
#include "identity/kernel_view.h"

namespace warder::identity {

struct BpfView {
  // Null where neither part works. Where one does not, its calls fail with not_permitted.
  // Everything in the kernel is gone when this is.
  std::unique_ptr<KernelView> view;
  bool connectors = false;  // KernelView::connector works
  bool passes = false;      // KernelView::pass does
  // `connector_record` and `reference_count`, as found by doing each once.
  Abilities abilities;
};

// Connections of the whole host whose connector is remembered; then the longest unused goes first.
constexpr std::uint32_t kConnectorRecords = 65536;

// Loads the programs and tries them: connects to 127.0.0.1 and looks at that socket. Takes a tenth
// of a second or so. `proc_root` is a descriptor of /proc, needed only during the call.
[[nodiscard]] BpfView open_bpf_view(int proc_root,
                                    std::uint32_t connector_records = kConnectorRecords);

}  // namespace warder::identity
