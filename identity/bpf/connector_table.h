#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "identity/bpf/object.h"
#include "identity/bpf/records.h"
#include "identity/kernel_view.h"

namespace warder::identity::bpf {

// Who called connect(2), recorded from when this is opened until it is destroyed.
class ConnectorTable {
 public:
  // Errors: what open(2) or bpf(2) says; system, when it was tried and recorded nothing.
  [[nodiscard]] static Result<ConnectorTable> open(std::uint32_t namespace_inode,
                                                   std::uint32_t entries);
  // As KernelView::connector.
  [[nodiscard]] Result<std::optional<Connector>> find(std::uint64_t cookie) const;

 private:
  ConnectorTable(Object object, int map) : object_(std::move(object)), map_(map) {}
  [[nodiscard]] Result<void> try_it(std::uint32_t namespace_inode) const;

  Object object_;
  int map_;  // lives with object_
  Link link_;
};

}  // namespace warder::identity::bpf
