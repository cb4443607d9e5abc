#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "identity/holder_finder.h"
#include "identity/identity.h"
#include "identity/sandbox.h"
#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::identity {

// What changes when a process number is reused (start time) or another program is executed (image).
struct Vitals {
  std::uint64_t start_time = 0;
  FileId image;
  friend bool operator==(const Vitals&, const Vitals&) = default;
};

// Tells what a process is. Errors: not_found when it has ended, not_permitted, system.
class ProcessFacts {
 public:
  virtual ~ProcessFacts() = default;
  [[nodiscard]] virtual Result<Vitals> vitals(const Holder& holder) = 0;
  // Everything but the trusted name: `path` is the kernel's text as it stands.
  [[nodiscard]] virtual Result<Process> read(const Holder& holder) = 0;
  // Sets `binary`, `deleted` and the final `path`, looking under the roots of the sandboxes that
  // are among `scopes` (all of them when none is), then under our own.
  virtual void give_name(Process& process, std::span<const Scope> scopes) = 0;
};

// From procfs.
class ProcProcessFacts final : public ProcessFacts {
 public:
  // Both outlive this. `proc_root` is an open directory; our own root is self/root below it.
  ProcProcessFacts(int proc_root, const std::vector<Sandbox>& sandboxes);

  [[nodiscard]] Result<Vitals> vitals(const Holder& holder) override;
  [[nodiscard]] Result<Process> read(const Holder& holder) override;
  void give_name(Process& process, std::span<const Scope> scopes) override;

 private:
  void read_ancestors(pid_t parent, Process& process) const;
  [[nodiscard]] std::vector<int> trusted_roots(std::span<const Scope> scopes) const;

  int proc_root_;
  const std::vector<Sandbox>& sandboxes_;
  net::UniqueFd own_root_;
};

}  // namespace warder::identity
