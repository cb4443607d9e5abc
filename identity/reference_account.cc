#include "identity/reference_account.h"

#include <algorithm>

namespace warder::identity {
namespace {

std::string counted(std::uint64_t count, std::string_view one, std::string_view many) {
  return std::to_string(count) + " " + std::string(count == 1 ? one : many);
}

}  // namespace

void ReferenceAccount::add(const SocketPass::Task& task, const HeldDescriptor& held) {
  const Entry entry{held.table, held.descriptor, task.task};
  contradicted_ |= !empty() && references_ != held.references;
  const auto at = std::lower_bound(entries_.begin(), entries_.end(), entry);
  if (at == entries_.end() || *at != entry) {
    // The same number in the same table twice in one process: its image changed in between.
    contradicted_ |= at != entries_.end() && (*at <=> entry) == 0;
    entries_.insert(at, entry);
  }
  references_ = held.references;
  contradicted_ |= !held.steady;
  waiting_known_ &= held.waiting_known;
  const auto [calls, first] = waiting_.try_emplace(held.table, held.waiting);
  contradicted_ |= !first && calls->second != held.waiting;
  if (task.task.pid == 0) {
    unnamed_ = true;
    return;
  }
  const pid_t thread = held.thread != 0 ? held.thread : task.task.pid;
  const auto known = std::find_if(holders_.begin(), holders_.end(), [&](const Holder& holder) {
    return holder.pid == task.task.pid;
  });
  if (known == holders_.end())
    holders_.push_back({task.task.pid, thread, task});
  else
    contradicted_ |= known->kernel->task != task.task;
}

std::vector<Holder> ReferenceAccount::holders() const {
  auto sorted = holders_;
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

bool ReferenceAccount::steady() const {
  return !contradicted_ && references_ >= descriptors() + waiting();
}

std::uint64_t ReferenceAccount::descriptors() const {
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const bool repeated = i > 0 && entries_[i - 1].table == entries_[i].table &&
                          entries_[i - 1].descriptor == entries_[i].descriptor;
    count += repeated ? 0 : 1;
  }
  return count;
}

std::uint64_t ReferenceAccount::waiting() const {
  std::uint64_t count = 0;
  for (const auto& [table, calls] : waiting_) count += calls;
  return count;
}

std::string ReferenceAccount::text() const {
  if (empty())
    return "no process shows a descriptor of it: it is in flight, registered with io_uring, or "
           "being closed";
  std::string text = counted(references_, "reference", "references") + ": " +
                     counted(descriptors(), "descriptor", "descriptors");
  if (waiting() > 0) text += ", " + counted(waiting(), "waiting call", "waiting calls");
  if (!steady()) return text + ", changing while they were counted";
  if (left_over() > 0 && !waiting_known()) return text + ", its waiting calls not counted";
  if (left_over() > 0) text += ", " + std::to_string(left_over()) + " held out of sight";
  if (unnamed_) text += "; a process in another PID namespace has it";
  return text;
}

ReferenceAccounts accounts_of(const SocketPass& pass) {
  ReferenceAccounts accounts;
  for (const HeldDescriptor& held : pass.held)
    if (held.task < pass.tasks.size()) accounts[held.inode].add(pass.tasks[held.task], held);
  return accounts;
}

}  // namespace warder::identity
