#include "identity/host_resolver.h"

#include <fcntl.h>

#include <thread>
#include <utility>

#include "identity/bpf/bpf_view.h"
#include "identity/host_sockets.h"
#include "identity/kernel_holders.h"
#include "identity/proc_fs.h"
#include "identity/proc_holders.h"
#include "identity/proc_rights.h"
#include "identity/process_facts.h"
#include "identity/queued_resolver.h"
#include "identity/sandbox.h"

namespace warder::identity {
namespace {

// Everything that looks, in the order in which one needs the other.
class HostServices final : public Investigator {
 public:
  HostServices(net::UniqueFd proc_root, std::vector<Sandbox> sandboxes,
               const HostResolverOptions& options, std::unique_ptr<KernelView> view)
      : proc_root_(std::move(proc_root)),
        sandboxes_(std::move(sandboxes)),
        aliases_(options.listener_aliases),
        sockets_(proc_root_.get(), sandboxes_, aliases_, options),
        view_(std::move(view)),
        walk_(proc_root_.get()),
        counting_(kernel_holders(view_.get(), walk_)),
        facts_(proc_root_.get(), sandboxes_),
        rights_(proc_root_.get()),
        investigator_(sockets_, holders(), facts_, rights_, Trace(options.trace)) {}

  [[nodiscard]] std::vector<Identity> look(std::span<const Connection> connections) override {
    return investigator_.look(connections);
  }
  [[nodiscard]] const Abilities& abilities() const { return sockets_.abilities(); }

 private:
  static std::unique_ptr<KernelHolders> kernel_holders(KernelView* view, HolderFinder& walk) {
    if (view == nullptr) return nullptr;
    return std::make_unique<KernelHolders>(
        *view, walk, [](std::chrono::microseconds time) { std::this_thread::sleep_for(time); });
  }
  HolderFinder& holders() {
    return counting_ ? static_cast<HolderFinder&>(*counting_) : static_cast<HolderFinder&>(walk_);
  }

  net::UniqueFd proc_root_;
  std::vector<Sandbox> sandboxes_;
  std::vector<net::Endpoint> aliases_;
  HostSockets sockets_;
  std::unique_ptr<KernelView> view_;  // null: only the walk is left
  ProcHolders walk_;
  std::unique_ptr<KernelHolders> counting_;  // null without a view
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
  BpfView kernel;
  if (options.lookup == HostResolverOptions::Lookup::automatic)
    kernel = open_bpf_view(proc_root->get());
  auto services = std::make_unique<HostServices>(std::move(*proc_root), std::move(sandboxes),
                                                 options, std::move(kernel.view));
  Abilities abilities = services->abilities();
  abilities.insert(abilities.end(), kernel.abilities.begin(), kernel.abilities.end());
  return HostResolver{std::make_unique<QueuedResolver>(
                          std::move(services), QueueLimits{options.max_waiting, options.deadline}),
                      std::move(abilities)};
}

}  // namespace warder::identity
