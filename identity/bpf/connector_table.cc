#include "identity/bpf/connector_table.h"

#include <bpf/bpf.h>
#include <unistd.h>

#include <cerrno>

#include "identity/bpf/own_socket.h"
#include "identity/bpf/pass_records.h"
#include "identity/bpf/programs.h"

namespace warder::identity::bpf {

Result<ConnectorTable> ConnectorTable::open(std::uint32_t namespace_inode, std::uint32_t entries) {
  auto object = Object::load({"warder_conn", connector_program(), "connectors", entries});
  if (!object) return fail(std::move(object.error()));
  const auto map = object->map("connectors");
  if (!map) return fail(map.error());
  ConnectorTable table(std::move(*object), *map);
  auto link = table.object_.attach("on_state");
  if (!link) return fail(std::move(link.error()));
  table.link_ = std::move(*link);
  if (auto tried = table.try_it(namespace_inode); !tried) return fail(std::move(tried.error()));
  return table;
}

// Finds out by the way how far below the first PID namespace ours is: nothing else says so.
Result<void> ConnectorTable::try_it(std::uint32_t namespace_inode) const {
  const auto globals = object_.map(".bss");
  if (!globals) return fail(globals.error());
  for (std::uint32_t level = 0; level < kMostLevels; ++level) {
    const NumberSpace space{namespace_inode, level};
    const std::uint32_t zero = 0;
    const int failed = bpf_map_update_elem(*globals, &zero, &space, BPF_ANY);
    if (failed != 0) return fail(from_errno(-failed, "bpf(BPF_MAP_UPDATE_ELEM)"));
    const auto own = connect_own_socket();
    if (!own) return fail(own.error());
    const auto found = find(own->cookie);
    if (!found) return fail(found.error());
    if (!*found) return fail(Errc::system, "a connect of our own was not recorded");
    if ((*found)->task.pid == ::getpid()) return {};
  }
  return fail(Errc::system, "our own number was not found in a record");
}

Result<std::optional<Connector>> ConnectorTable::find(std::uint64_t cookie) const {
  ConnectorRecord record{};
  const int failed = bpf_map_lookup_elem(map_, &cookie, &record);
  if (failed == -ENOENT) return std::nullopt;
  if (failed != 0) return fail(from_errno(-failed, "bpf(BPF_MAP_LOOKUP_ELEM)"));
  return Connector{to_kernel_task(record.task), record.uid};
}

}  // namespace warder::identity::bpf
