#include "identity/kernel_holders.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <utility>

namespace warder::identity {
namespace {

using std::chrono::microseconds;

// Before each look. A call in a process with threads takes a reference while it runs, and so does a
// table that is being closed: such are gone soon, unless their thread has to wait for a CPU.
constexpr std::array kPauses{microseconds{0}, microseconds{100}, microseconds{500},
                             microseconds{1500}, microseconds{3000}};
// Holders that are looked at one by one; of more, all processes are.
constexpr std::size_t kSingly = 32;
// Connections of the holders that are looked up in the record.
constexpr std::size_t kAskedOthers = 64;
constexpr std::size_t kAccepted = 16;

// Settled: nothing is left over, and either it was one instant or it stayed so. Two descriptors are
// not read at once: one reference that moves between them would stand for two.
bool settled(const ReferenceAccount& now, bool repeated) {
  return now.complete() && (now.one_instant() || repeated);
}

void write_down(const ReferenceAccount& account, SocketHolders& who) {
  who.holders = account.holders();
  who.account = account.text();
}

void write_proof(const ReferenceAccount& last, bool repeated, SocketHolders& who) {
  write_down(last, who);
  const bool done = settled(last, repeated);
  if (done && !last.unnamed())
    who.proof = SocketHolders::Proof::complete;
  else if (done || (repeated && last.steady()))
    who.proof = SocketHolders::Proof::hidden;
  else
    who.proof = SocketHolders::Proof::moving;
}

// A connection that has a peer which may still send or receive.
bool has_peer(const OtherSocket& other) {
  return other.state == TCP_ESTABLISHED || other.state == TCP_CLOSE_WAIT ||
         other.state == TCP_FIN_WAIT1 || other.state == TCP_FIN_WAIT2;
}

std::string process_text(pid_t pid) { return "process " + std::to_string(pid); }

std::optional<std::string> other_tasks(const std::vector<Holder>& before,
                                       const std::vector<Holder>& now) {
  for (const Holder& holder : before) {
    const auto still = std::find_if(now.begin(), now.end(),
                                    [&](const Holder& other) { return other.pid == holder.pid; });
    const std::string who = process_text(holder.pid);
    if (still == now.end()) return who + " let go of the socket";
    if (!holder.kernel || !still->kernel) return who + " was not seen in the same way";
    const KernelTask& then = holder.kernel->task;
    const KernelTask& task = still->kernel->task;
    if (then.start_ns != task.start_ns) return who + " is another process than before";
    if (then != task) return who + " has executed a program since";
  }
  if (now.size() == before.size()) return std::nullopt;
  for (const Holder& holder : now)
    if (std::find(before.begin(), before.end(), holder) == before.end())
      return process_text(holder.pid) + " holds the socket too now";
  return "other threads hold the socket now";
}

}  // namespace

KernelHolders::KernelHolders(KernelView& view, HolderFinder& fallback, Sleep sleep)
    : view_(view), fallback_(fallback), sleep_(std::move(sleep)) {}

HolderScan KernelHolders::find(std::span<const FoundSocket> sockets) {
  HolderScan scan;
  std::vector<Count> open;
  for (const FoundSocket& socket : sockets) {
    Count count;
    count.socket = socket;
    ask_connector(count);
    if (settle_at_connector(count))
      scan.by_inode.emplace(socket.inode, std::move(count.who));
    else
      open.push_back(std::move(count));
  }
  if (open.empty()) return scan;
  const auto counted = settle_everywhere(open);
  if (!counted) {
    walk(open, describe(counted.error()), scan);
    return scan;
  }
  for (Count& count : open) {
    look_for_accepted(count);
    scan.by_inode.emplace(count.socket.inode, std::move(count.who));
  }
  return scan;
}

void KernelHolders::ask_connector(Count& count) {
  if (count.socket.cookie == 0) return;
  auto connector = view_.connector(count.socket.cookie);
  if (!connector) return;
  count.who.connector_asked = true;
  count.who.connector = *connector;
}

bool KernelHolders::settle_at_connector(Count& count) {
  if (!count.who.connector || count.who.connector->task.pid == 0) return false;
  const pid_t pid = count.who.connector->task.pid;
  for (int look = 0; look < 2; ++look) {
    const auto pass = view_.pass({&count.socket.inode, 1}, pid, true);
    if (!pass) return false;
    auto accounts = accounts_of(*pass);
    ReferenceAccount& now = accounts[count.socket.inode];
    const bool repeated = count.last && *count.last == now;
    if (settled(now, repeated) && !now.unnamed()) {
      write_down(now, count.who);
      count.who.proof = SocketHolders::Proof::complete;
      count.who.accepted_known = true;
      add_accepted(count.who, *pass, count.socket);
      return true;
    }
    if (now.steady() && !now.complete()) return false;  // somebody else has it, or hides it
    count.last = std::move(now);
  }
  return false;
}

Result<void> KernelHolders::settle_everywhere(std::vector<Count>& counts) {
  std::vector<std::uint64_t> inodes;
  std::vector<Count*> open;
  for (Count& count : counts) {
    count.last.reset();
    open.push_back(&count);
  }
  for (const microseconds pause : kPauses) {
    if (open.empty()) break;
    if (pause.count() > 0) sleep_(pause);
    inodes.clear();
    for (const Count* const count : open) inodes.push_back(count->socket.inode);
    const auto pass = view_.pass(inodes, 0, false);
    if (!pass) return fail(pass.error());
    auto accounts = accounts_of(*pass);
    for (Count* const count : open) {
      ReferenceAccount& now = accounts[count->socket.inode];
      count->repeated = count->last && *count->last == now;
      count->last = std::move(now);
    }
    std::erase_if(open, [](const Count* count) { return settled(*count->last, count->repeated); });
  }
  for (Count& count : counts) write_proof(*count.last, count.repeated, count.who);
  return {};
}

void KernelHolders::walk(std::vector<Count>& counts, const std::string& why, HolderScan& scan) {
  std::vector<FoundSocket> sockets;
  sockets.reserve(counts.size());
  for (const Count& count : counts) sockets.push_back(count.socket);
  HolderScan walked = fallback_.find(sockets);
  scan.unreadable += walked.unreadable;
  scan.one_unreadable = walked.one_unreadable;
  for (Count& count : counts) {
    const auto seen = walked.by_inode.find(count.socket.inode);
    count.who.holders.clear();
    if (seen != walked.by_inode.end()) count.who.holders = std::move(seen->second.holders);
    count.who.proof = SocketHolders::Proof::uncounted;
    count.who.account = "references can't be counted: " + why;
    scan.by_inode.emplace(count.socket.inode, std::move(count.who));
  }
}

// Whoever opened it is not the holder. One that was there before the record began is among them:
// it can't be told from those that were accepted.
void KernelHolders::add_accepted(SocketHolders& who, const SocketPass& pass,
                                 const FoundSocket& socket) {
  who.accepted_known &= pass.others_complete;
  std::size_t asked = 0;
  for (const OtherSocket& other : pass.others) {
    if (other.inode == socket.inode || !has_peer(other)) continue;
    if (other.cookie != 0) {
      const bool more = ++asked <= kAskedOthers;
      const auto connector =
          more ? view_.connector(other.cookie) : Result<std::optional<Connector>>{};
      who.accepted_known &= more && connector.has_value();
      if (!more || !connector || *connector) continue;
    }
    const bool room = who.accepted.size() < kAccepted;
    who.accepted_known &= room;
    if (room) who.accepted.push_back(other);
  }
}

void KernelHolders::look_for_accepted(Count& count) {
  SocketHolders& who = count.who;
  if (who.proof == SocketHolders::Proof::moving || who.holders.empty()) return;
  who.accepted_known = who.holders.size() <= kSingly;
  for (std::size_t i = 0; i < std::min(who.holders.size(), kSingly); ++i) {
    const auto pass = view_.pass({&count.socket.inode, 1}, who.holders[i].pid, true);
    if (pass)
      add_accepted(who, *pass, count.socket);
    else
      who.accepted_known = false;
  }
}

Result<SocketPass> KernelHolders::pass_over(const FoundSocket& socket,
                                            const std::vector<Holder>& holders) {
  if (holders.size() > kSingly) return view_.pass({&socket.inode, 1}, 0, false);
  SocketPass all;
  for (const Holder& holder : holders) {
    auto one = view_.pass({&socket.inode, 1}, holder.pid, false);
    if (!one) return one;
    for (HeldDescriptor& held : one->held) held.task += all.tasks.size();
    std::move(one->tasks.begin(), one->tasks.end(), std::back_inserter(all.tasks));
    std::move(one->held.begin(), one->held.end(), std::back_inserter(all.held));
  }
  return all;
}

std::optional<std::string> KernelHolders::changed(const FoundSocket& socket,
                                                  const SocketHolders& before) {
  if (before.proof == SocketHolders::Proof::uncounted) return fallback_.changed(socket, before);
  std::optional<ReferenceAccount> last;
  for (const microseconds pause : kPauses) {
    if (pause.count() > 0) sleep_(pause);
    const auto pass = pass_over(socket, before.holders);
    if (!pass) return "the holders can't be looked at again: " + describe(pass.error());
    auto accounts = accounts_of(*pass);
    ReferenceAccount& now = accounts[socket.inode];
    if (auto other = other_tasks(before.holders, now.holders())) return other;
    // What was held out of sight then may be seen or gone now: it is no proof either way.
    if (before.proof == SocketHolders::Proof::hidden) return std::nullopt;
    if (settled(now, last && *last == now)) return std::nullopt;
    last = std::move(now);
  }
  return "the holders had all its references, and now: " + last->text();
}

}  // namespace warder::identity
