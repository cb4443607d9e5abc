#include "identity/host_resolver.h"

#include <fcntl.h>

#include <utility>

#include "identity/local_address.h"
#include "identity/proc_fs.h"
#include "identity/proc_holders.h"
#include "identity/proc_rights.h"
#include "identity/process_facts.h"
#include "identity/queued_resolver.h"
#include "identity/sandbox.h"
#include "identity/socket_tables.h"

namespace warder::identity {
namespace {

// Everything that reads procfs, in the order in which one needs the other.
class HostServices final : public Investigator {
 public:
  HostServices(net::UniqueFd proc_root, std::vector<Sandbox> sandboxes,
               std::vector<net::Endpoint> aliases, Trace trace)
      : proc_root_(std::move(proc_root)),
        sandboxes_(std::move(sandboxes)),
        aliases_(std::move(aliases)),
        tables_(proc_root_.get(), sandboxes_, aliases_, local_),
        holders_(proc_root_.get()),
        facts_(proc_root_.get(), sandboxes_),
        rights_(proc_root_.get()),
        investigator_(tables_, holders_, facts_, rights_, std::move(trace)) {}

  [[nodiscard]] std::vector<Identity> look(std::span<const Connection> connections) override {
    return investigator_.look(connections);
  }

 private:
  net::UniqueFd proc_root_;
  std::vector<Sandbox> sandboxes_;
  std::vector<net::Endpoint> aliases_;
  RouteLookup local_;
  SocketTables tables_;
  ProcHolders holders_;
  ProcProcessFacts facts_;
  ProcRights rights_;
  ProcInvestigator investigator_;
};

}  // namespace

Result<HostResolver> make_host_resolver(HostResolverOptions options) {
  auto proc_root = open_directory(AT_FDCWD, options.proc_root);
  if (!proc_root) return fail(std::move(proc_root.error()));
  std::vector<Sandbox> sandboxes;
  for (const SandboxSpec& spec : options.sandboxes) {
    const pid_t pid = spec.pid;
    auto sandbox = Sandbox::open(proc_root->get(), pid);
    if (!sandbox) {
      Error error = std::move(sandbox.error());
      error.detail = "sandbox pid " + std::to_string(pid) + ": " + error.detail;
      return fail(std::move(error));
    }
    sandboxes.push_back(std::move(*sandbox));
  }
  auto services = std::make_unique<HostServices>(std::move(*proc_root), std::move(sandboxes),
                                                 std::move(options.listener_aliases),
                                                 Trace(std::move(options.trace)));
  return HostResolver{std::make_unique<QueuedResolver>(
                          std::move(services), QueueLimits{options.max_waiting, options.deadline}),
                      {}};
}

}  // namespace warder::identity
