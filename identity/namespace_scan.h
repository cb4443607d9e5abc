#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::identity {

// The network namespaces that processes show in /proc/<pid>/ns/net. Belongs to one thread.
class NamespaceScan {
 public:
  // One namespace, and a process that was in it when it was seen.
  struct Entry {
    std::uint64_t network_namespace = 0;
    pid_t pid = 0;
    net::UniqueFd directory;  // /proc/<pid>, O_PATH
  };
  struct Options {
    // Also those owned by a user namespace that is neither ours nor an ancestor of ours: anybody
    // may make one, and in it a socket with any address.
    bool any_owner = false;
    std::chrono::milliseconds interval{100};  // between two looks
    std::size_t most = 4096;                  // namespaces
  };

  // `proc_root` is an open directory and outlives this. Nothing is read before refresh().
  NamespaceScan(int proc_root, Options options) : proc_root_(proc_root), options_(options) {}

  // As of the last refresh, each namespace once; our own is among them.
  [[nodiscard]] std::span<const Entry> known() const { return entries_; }

  // Looks again. What stands against taking the list as whole, in one clause, or nullopt.
  std::optional<std::string> refresh();

 private:
  void visit(int directory, const char* name, std::vector<Entry>& entries);
  [[nodiscard]] bool is_owned_by_us(int directory) const;

  int proc_root_;
  Options options_;
  std::optional<std::chrono::steady_clock::time_point> looked_;
  std::optional<std::uint64_t> own_user_namespace_;
  std::vector<Entry> entries_;
  std::vector<std::uint64_t> seen_;  // in this look, left out or not; ascending
  bool too_many_ = false;
};

}  // namespace warder::identity
