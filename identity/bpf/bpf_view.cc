#include "identity/bpf/bpf_view.h"

#include <optional>
#include <utility>

#include "identity/bpf/connector_table.h"
#include "identity/bpf/hindrance.h"
#include "identity/bpf/passes.h"
#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

class LibbpfView final : public KernelView {
 public:
  LibbpfView(std::optional<bpf::ConnectorTable> connectors, std::optional<bpf::Passes> passes)
      : connectors_(std::move(connectors)), passes_(std::move(passes)) {}

  Result<std::optional<Connector>> connector(std::uint64_t cookie) override {
    if (!connectors_) return fail(Errc::not_permitted, "connects are not recorded");
    return connectors_->find(cookie);
  }

  Result<SocketPass> pass(std::span<const std::uint64_t> inodes, const PassScope& scope) override {
    if (!passes_) return fail(Errc::not_permitted, "references cannot be counted");
    return passes_->run(inodes, scope);
  }

 private:
  std::optional<bpf::ConnectorTable> connectors_;
  std::optional<bpf::Passes> passes_;
};

Result<std::uint32_t> own_pid_namespace(int proc_root) {
  const auto link = read_link(proc_root, "self/ns/pid");
  if (!link) return fail(link.error());
  const auto inode = parse_inode_link(*link, "pid");
  if (!inode) return fail(Errc::system, "self/ns/pid is no namespace");
  return static_cast<std::uint32_t>(*inode);
}

// Notes in `ability` whether the part works, and hands it on if it does.
template <class Part>
std::optional<Part> keep(Result<Part> opened, Ability& ability, int proc_root) {
  ability.available = opened.has_value();
  if (opened) return std::move(*opened);
  ability.detail = bpf::explain(opened.error(), proc_root);
  return std::nullopt;
}

}  // namespace

BpfView open_bpf_view(int proc_root, std::uint32_t connector_records) {
  Ability recording{"connector_record", false, {}, "who called connect is not known"};
  Ability counting{"reference_count",
                   false,
                   {},
                   "holders are found by a walk of /proc/*/fd, and none is proven to be the only"};
  const auto space = own_pid_namespace(proc_root);
  auto connectors = keep(space ? bpf::ConnectorTable::open(*space, connector_records)
                               : Result<bpf::ConnectorTable>(fail(space.error())),
                         recording, proc_root);
  auto passes = keep(space ? bpf::Passes::open(*space) : Result<bpf::Passes>(fail(space.error())),
                     counting, proc_root);
  BpfView opened;
  opened.connectors = connectors.has_value();
  opened.passes = passes.has_value();
  opened.abilities = {std::move(recording), std::move(counting)};
  if (opened.connectors || opened.passes)
    opened.view = std::make_unique<LibbpfView>(std::move(connectors), std::move(passes));
  return opened;
}

}  // namespace warder::identity
