#pragma once

#include "identity/investigator.h"

namespace warder::identity {

// The capabilities and the PID namespace of our own process, as /proc/self tells them.
class ProcRights final : public Rights {
 public:
  // `proc_root` is an open directory and outlives this.
  explicit ProcRights(int proc_root) : proc_root_(proc_root) {}
  [[nodiscard]] std::string missing() override;

 private:
  int proc_root_;
};

}  // namespace warder::identity
