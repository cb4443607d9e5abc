#include "identity/host_sockets.h"

#include <string>
#include <utility>

#include "identity/diag_sockets.h"
#include "identity/sock_diag.h"
#include "identity/socket_tables.h"

namespace warder::identity {
namespace {

Ability sock_diag_ability(const Result<void>& checked) {
  return {"sock_diag", checked.has_value(), checked ? "" : describe(checked.error()),
          checked ? "" : "the tables /proc/<pid>/net/tcp and tcp6 are read"};
}

Ability enter_ability(const Result<void>& checked) {
  std::string detail;
  if (!checked) {
    detail = describe(checked.error());
    if (checked.error().code == Errc::not_permitted) detail += "; CAP_SYS_ADMIN would help";
  }
  return {"enter_namespaces", checked.has_value(), std::move(detail),
          checked ? "" : "the tables of other network namespaces are read by /proc/<pid>/net"};
}

}  // namespace

HostSockets::HostSockets(int proc_root, const std::vector<Sandbox>& sandboxes,
                         const std::vector<net::Endpoint>& aliases,
                         const HostResolverOptions& options, Effort& effort) {
  if (options.discover) {
    NamespaceScan::Options scan;
    scan.any_owner = options.discover_user_namespaces;
    scan_ = std::make_unique<NamespaceScan>(proc_root, scan);
  }
  if (options.lookup == HostResolverOptions::Lookup::automatic) {
    views_ = std::make_unique<EnteredNamespaces>(proc_root, &effort);
    const Result<void> diag = views_->check_own();
    abilities_.push_back(sock_diag_ability(diag));
    abilities_.push_back(enter_ability(views_->check_entering()));
    if (diag)
      finder_ = std::make_unique<DiagSockets>(proc_root, sandboxes, aliases, local_, *views_,
                                              scan_.get(), &effort);
    quick_ = diag.has_value();
  }
  if (!finder_)
    finder_ = std::make_unique<SocketTables>(proc_root, sandboxes, aliases, local_, scan_.get());
}

}  // namespace warder::identity
