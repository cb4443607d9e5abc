#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "identity/holder_finder.h"
#include "identity/kernel_view.h"

namespace warder::identity {

// What one pass says of one socket: every reference to its open file is a descriptor of a table, a
// system call that waits on it, or is held out of sight. Pure.
class ReferenceAccount {
 public:
  // What is counted, as the kernel tells one thing from another. A table is counted once, however
  // many threads or processes share it: else a shared table would stand for two references.
  struct Entry {
    std::uint64_t table = 0;
    int descriptor = 0;
    KernelTask task;
    friend auto operator<=>(const Entry& a, const Entry& b) {
      if (const auto order = a.table <=> b.table; order != 0) return order;
      if (const auto order = a.descriptor <=> b.descriptor; order != 0) return order;
      return a.task.pid <=> b.task.pid;
    }
    friend bool operator==(const Entry&, const Entry&) = default;
  };

  void add(const SocketPass::Task& task, const HeldDescriptor& held);

  // Every process with a number that shows it, by pid.
  [[nodiscard]] std::vector<Holder> holders() const;
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  // A process without a number in our PID namespace shows it.
  [[nodiscard]] bool unnamed() const { return unnamed_; }
  // Counts and calls belong together, and no count contradicts another.
  [[nodiscard]] bool steady() const;
  // There are descriptors, it is steady, and nothing is left over.
  [[nodiscard]] bool complete() const { return !empty() && steady() && left_over() == 0; }
  // Calls that wait on it may be left out of the count: what is left over is not hidden for that.
  [[nodiscard]] bool waiting_known() const { return waiting_known_; }
  // One descriptor, and so a count of one instant; several are read one after the other.
  [[nodiscard]] bool one_instant() const { return descriptors() == 1; }
  // "3 references: 2 descriptors, 1 waiting call"
  [[nodiscard]] std::string text() const;

  friend bool operator==(const ReferenceAccount& a, const ReferenceAccount& b) {
    return a.entries_ == b.entries_ && a.references_ == b.references_ && a.waiting() == b.waiting();
  }

 private:
  [[nodiscard]] std::uint64_t descriptors() const;
  [[nodiscard]] std::uint64_t waiting() const;
  [[nodiscard]] std::uint64_t left_over() const { return references_ - descriptors() - waiting(); }

  std::vector<Entry> entries_;  // ascending, without repeats
  std::vector<Holder> holders_;
  std::unordered_map<std::uint64_t, std::uint32_t> waiting_;  // by table
  std::uint64_t references_ = 0;
  bool unnamed_ = false;
  bool contradicted_ = false;
  bool waiting_known_ = true;
};

// By inode; a socket that nothing showed has no entry.
using ReferenceAccounts = std::unordered_map<std::uint64_t, ReferenceAccount>;
[[nodiscard]] ReferenceAccounts accounts_of(const SocketPass& pass);

}  // namespace warder::identity
