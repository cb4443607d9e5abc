#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "identity/effort.h"
#include "identity/holder_finder.h"
#include "identity/kernel_view.h"
#include "identity/lru.h"
#include "identity/reference_account.h"

namespace warder::identity {

// Proves who has a socket by counting: one pass over the process that connected, and, when that
// leaves references over or nobody recorded the connect, passes over all processes, for all such
// sockets at once. Belongs to one thread at a time. At once (Effort) one pass over the process that
// connected is all that is done.
class KernelHolders final : public HolderFinder {
 public:
  using Sleep = std::function<void(std::chrono::microseconds)>;

  // `view` and `fallback` outlive this. Where the view fails, the fallback is asked instead and
  // nothing is proven. `sleep`: what passes the time between two looks at moving counts. `effort`
  // outlives this too.
  KernelHolders(KernelView& view, HolderFinder& fallback, Sleep sleep, Effort* effort = nullptr);

  [[nodiscard]] HolderScan find(std::span<const FoundSocket> sockets) override;
  using HolderFinder::changed;
  [[nodiscard]] std::vector<std::optional<std::string>> changed(
      std::span<const Seen> before) override;

 private:
  // A socket whose references are being counted.
  struct Count {
    FoundSocket socket;
    SocketHolders who;
    std::optional<ReferenceAccount> last;
    bool repeated = false;  // `last` is what the look before gave too
    bool settled = false;
  };
  // The accepted connections of one process.
  struct Accepted {
    std::vector<OtherSocket> sockets;
    bool known = true;
  };
  // A socket that is looked at a second time.
  struct Check;

  void settle_at_connectors(std::vector<Count>& counts);
  void ask_connector(Count& count);
  [[nodiscard]] std::uint32_t descriptor_limit() const;
  // One pass for all the sockets that one process connected.
  void settle_at_connector(pid_t pid, std::vector<Count*> open);
  [[nodiscard]] Result<void> settle_everywhere(std::vector<Count>& counts);
  void walk(std::vector<Count>& counts, const std::string& why, HolderScan& scan);
  void give_up(std::vector<Count>& counts, const std::string& why, HolderScan& scan);
  [[nodiscard]] Result<SocketPass> pass_over(std::span<const std::uint64_t> inodes,
                                             const PassScope& scope, std::size_t at_a_time);
  [[nodiscard]] Accepted accepted_among(const SocketPass& pass);
  void look_for_accepted(std::vector<Count>& counts);
  [[nodiscard]] Result<ReferenceAccounts> look_again(std::span<Check* const> checks,
                                                     std::size_t at_a_time);

  KernelView& view_;
  HolderFinder& fallback_;
  Sleep sleep_;
  Effort* effort_;
  // Cookies of sockets with a connector on record: no other socket ever has that cookie, and what
  // was opened by connect(2) was not accepted, whoever is asked about and however often.
  Lru<std::uint64_t, std::monostate> opened_;
};

}  // namespace warder::identity
