#include "identity/host_resolver.h"

#include <fcntl.h>

#include <thread>
#include <utility>

#include "identity/bpf/bpf_view.h"
#include "identity/effort.h"
#include "identity/hashed_resolver.h"
#include "identity/host_sockets.h"
#include "identity/kernel_holders.h"
#include "identity/proc_fs.h"
#include "identity/proc_holders.h"
#include "identity/proc_rights.h"
#include "identity/process_facts.h"
#include "identity/queued_resolver.h"
#include "identity/sandboxes.h"

namespace warder::identity {
namespace {

// Everything that looks, in the order in which one needs the other.
class HostServices final : public Investigator {
 public:
  HostServices(net::UniqueFd proc_root, std::unique_ptr<Sandboxes> sandboxes,
               const HostResolverOptions& options, BpfView kernel)
      : proc_root_(std::move(proc_root)),
        sandboxes_(std::move(sandboxes)),
        aliases_(options.listener_aliases),
        sockets_(proc_root_.get(), sandboxes_->list(), aliases_, options, effort_),
        view_(std::move(kernel.view)),
        walk_(proc_root_.get()),
        counting_(kernel_holders(view_.get(), walk_, effort_)),
        facts_(proc_root_.get(), sandboxes_->list(),
               FactsOptions{options.command_line, options.policy_paths}, &effort_),
        rights_(proc_root_.get()),
        investigator_(sockets_, holders(), facts_, rights_, Trace(options.trace), &effort_),
        quick_(sockets_.quick() && kernel.connectors && kernel.passes && !options.trace) {}

  [[nodiscard]] std::vector<Identity> look(std::span<const Connection> connections) override {
    sandboxes_->refresh();
    return investigator_.look(connections);
  }
  [[nodiscard]] std::vector<std::optional<Identity>> look_at_once(
      std::span<const Target> targets) override {
    std::vector<std::optional<Identity>> none(targets.size());
    if (!quick_) return none;
    {
      const Effort::AtOnce at_once(effort_);
      sandboxes_->refresh(&effort_);
    }
    if (effort_.gave_up()) return none;
    return investigator_.look_at_once(targets);
  }
  [[nodiscard]] const Abilities& abilities() const { return sockets_.abilities(); }

 private:
  static std::unique_ptr<KernelHolders> kernel_holders(KernelView* view, HolderFinder& walk,
                                                       Effort& effort) {
    if (view == nullptr) return nullptr;
    return std::make_unique<KernelHolders>(
        *view, walk, [](std::chrono::microseconds time) { std::this_thread::sleep_for(time); },
        &effort);
  }
  HolderFinder& holders() {
    return counting_ ? static_cast<HolderFinder&>(*counting_) : static_cast<HolderFinder&>(walk_);
  }

  Effort effort_;
  net::UniqueFd proc_root_;
  std::unique_ptr<Sandboxes> sandboxes_;
  std::vector<net::Endpoint> aliases_;
  HostSockets sockets_;
  std::unique_ptr<KernelView> view_;  // null: only the walk is left
  ProcHolders walk_;
  std::unique_ptr<KernelHolders> counting_;  // null without a view
  ProcProcessFacts facts_;
  ProcRights rights_;
  ProcInvestigator investigator_;
  const bool quick_;
};

}  // namespace

Result<HostResolver> make_host_resolver(HostResolverOptions options) {
  auto proc_root = open_directory(AT_FDCWD, options.proc_root);
  if (!proc_root) return fail(std::move(proc_root.error()));
  auto hash_root = open_directory(AT_FDCWD, options.proc_root);
  if (!hash_root) return fail(std::move(hash_root.error()));
  auto sandboxes = Sandboxes::open({proc_root->get()}, options.sandboxes);
  if (!sandboxes) return fail(std::move(sandboxes.error()));
  BpfView kernel;
  if (options.lookup == HostResolverOptions::Lookup::automatic)
    kernel = open_bpf_view(proc_root->get());
  const Abilities of_kernel = kernel.abilities;
  auto services = std::make_unique<HostServices>(std::move(*proc_root), std::move(*sandboxes),
                                                 options, std::move(kernel));
  Abilities abilities = services->abilities();
  abilities.insert(abilities.end(), of_kernel.begin(), of_kernel.end());
  std::unique_ptr<Resolver> resolver = std::make_unique<QueuedResolver>(
      std::move(services), QueueLimits{options.max_waiting, options.deadline});
  if (options.hash.enabled) {
    HashLimits limits;
    limits.max_bytes = options.hash.max_bytes;
    limits.timeout = options.hash.timeout;
    resolver = std::make_unique<HashedResolver>(
        std::move(resolver), std::make_unique<ImageHashes>(std::move(*hash_root), limits));
  }
  return HostResolver{std::move(resolver), std::move(abilities)};
}

}  // namespace warder::identity
