#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "identity/holder_finder.h"
#include "identity/kernel_view.h"
#include "identity/reference_account.h"

namespace warder::identity {

// Proves who has a socket by counting: one pass over the process that connected, and, when that
// leaves references over or nobody recorded the connect, passes over all processes, for all such
// sockets at once. Belongs to one thread.
class KernelHolders final : public HolderFinder {
 public:
  using Sleep = std::function<void(std::chrono::microseconds)>;

  // `view` and `fallback` outlive this. Where the view fails, the fallback is asked instead and
  // nothing is proven. `sleep`: what passes the time between two looks at moving counts.
  KernelHolders(KernelView& view, HolderFinder& fallback, Sleep sleep);

  [[nodiscard]] HolderScan find(std::span<const FoundSocket> sockets) override;
  [[nodiscard]] std::optional<std::string> changed(const FoundSocket& socket,
                                                   const SocketHolders& before) override;

 private:
  // A socket whose references are being counted.
  struct Count {
    FoundSocket socket;
    SocketHolders who;
    std::optional<ReferenceAccount> last;
    bool repeated = false;  // `last` is what the look before gave too
  };

  void ask_connector(Count& count);
  [[nodiscard]] bool settle_at_connector(Count& count);
  [[nodiscard]] Result<void> settle_everywhere(std::vector<Count>& counts);
  void walk(std::vector<Count>& counts, const std::string& why, HolderScan& scan);
  void add_accepted(SocketHolders& who, const SocketPass& pass, const FoundSocket& socket);
  void look_for_accepted(Count& count);
  [[nodiscard]] Result<SocketPass> pass_over(const FoundSocket& socket,
                                             const std::vector<Holder>& holders);

  KernelView& view_;
  HolderFinder& fallback_;
  Sleep sleep_;
};

}  // namespace warder::identity
