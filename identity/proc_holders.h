#pragma once

#include <unordered_set>

#include "identity/holder_finder.h"

namespace warder::identity {

// Walks /proc/<pid>/task/<tid>/fd. Threads that share their leader's table (kcmp(2) says so) are
// not read again. Belongs to one thread.
class ProcHolders final : public HolderFinder {
 public:
  // `proc_root` is an open directory and outlives this.
  explicit ProcHolders(int proc_root);

  [[nodiscard]] HolderScan find(std::span<const FoundSocket> sockets) override;
  using HolderFinder::changed;
  [[nodiscard]] std::vector<std::optional<std::string>> changed(
      std::span<const Seen> before) override;

 private:
  void walk_process(int proc, pid_t pid, const std::unordered_set<std::uint64_t>& inodes,
                    HolderScan& scan) const;

  int proc_root_;
  bool own_numbers_;  // the tree's process ids are those of our own system calls
};

}  // namespace warder::identity
