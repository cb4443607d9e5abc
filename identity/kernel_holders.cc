#include "identity/kernel_holders.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
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
// In one pass, so that the calls which wait on each can be counted (kWaiterBudget in
// bpf/records.h).
constexpr std::size_t kFewSockets = 64;
constexpr std::size_t kKnownOpened = 16384;
// Of one process, where it must not take long: 30 ns each.
constexpr std::uint32_t kDescriptorsAtOnce = 2048;

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
  else if (done || (repeated && last.steady() && last.waiting_known()))
    who.proof = SocketHolders::Proof::hidden;
  else
    who.proof = SocketHolders::Proof::moving;
}

// A connection that has a peer which may still send or receive.
bool has_peer(const OtherSocket& other) {
  return other.state == TCP_ESTABLISHED || other.state == TCP_CLOSE_WAIT ||
         other.state == TCP_FIN_WAIT1 || other.state == TCP_FIN_WAIT2;
}

void add_accepted(const std::vector<OtherSocket>& accepted, bool known, const FoundSocket& socket,
                  SocketHolders& who) {
  who.accepted_known &= known;
  for (const OtherSocket& other : accepted) {
    if (other.inode == socket.inode) continue;
    const bool room = who.accepted.size() < kAccepted;
    who.accepted_known &= room;
    if (room) who.accepted.push_back(other);
  }
}

void add_pass(SocketPass one, SocketPass& all) {
  for (HeldDescriptor& held : one.held) held.task += all.tasks.size();
  std::move(one.tasks.begin(), one.tasks.end(), std::back_inserter(all.tasks));
  std::move(one.held.begin(), one.held.end(), std::back_inserter(all.held));
}

// After a pass that did not count all waiting calls each gets a larger part of its budget.
std::size_t next_share(const SocketPass& pass) {
  const bool known = std::all_of(pass.held.begin(), pass.held.end(),
                                 [](const HeldDescriptor& held) { return held.waiting_known; });
  return known ? KernelView::kMostSockets : kFewSockets;
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

KernelHolders::KernelHolders(KernelView& view, HolderFinder& fallback, Sleep sleep, Effort* effort)
    : view_(view),
      fallback_(fallback),
      sleep_(std::move(sleep)),
      effort_(effort),
      opened_(kKnownOpened) {}

HolderScan KernelHolders::find(std::span<const FoundSocket> sockets) {
  HolderScan scan;
  std::vector<Count> counts(sockets.size());
  for (std::size_t i = 0; i < sockets.size(); ++i) counts[i].socket = sockets[i];
  settle_at_connectors(counts);
  for (Count& count : counts)
    if (count.settled) scan.by_inode.emplace(count.socket.inode, std::move(count.who));
  std::erase_if(counts, [](const Count& count) { return count.settled; });
  if (counts.empty() || !may_wait(effort_)) return scan;
  const auto counted = settle_everywhere(counts);
  if (!counted && counted.error().code == Errc::overloaded) {
    give_up(counts, describe(counted.error()), scan);
    return scan;
  }
  if (!counted) {
    walk(counts, describe(counted.error()), scan);
    return scan;
  }
  look_for_accepted(counts);
  for (Count& count : counts) scan.by_inode.emplace(count.socket.inode, std::move(count.who));
  return scan;
}

void KernelHolders::settle_at_connectors(std::vector<Count>& counts) {
  std::map<pid_t, std::vector<Count*>> connected;
  for (Count& count : counts) {
    ask_connector(count);
    if (const auto& who = count.who.connector; who && who->task.pid != 0)
      connected[who->task.pid].push_back(&count);
  }
  for (const auto& [pid, whose] : connected)
    for (std::size_t at = 0; at < whose.size(); at += KernelView::kMostSockets) {
      const auto end = std::min(at + KernelView::kMostSockets, whose.size());
      settle_at_connector(pid, {whose.data() + at, whose.data() + end});
    }
}

void KernelHolders::ask_connector(Count& count) {
  if (count.socket.cookie == 0) return;
  auto connector = view_.connector(count.socket.cookie);
  if (!connector) return;
  count.who.connector_asked = true;
  count.who.connector = *connector;
}

std::uint32_t KernelHolders::descriptor_limit() const {
  return at_once(effort_) ? kDescriptorsAtOnce : 0;
}

void KernelHolders::settle_at_connector(pid_t pid, std::vector<Count*> open) {
  std::vector<std::uint64_t> inodes;
  for (int look = 0; look < 2 && !open.empty(); ++look) {
    inodes.clear();
    for (const Count* const count : open) inodes.push_back(count->socket.inode);
    const auto pass = view_.pass(inodes, {pid, true, descriptor_limit()});
    if (!pass) return;
    auto accounts = accounts_of(*pass);
    std::optional<Accepted> accepted;
    std::erase_if(open, [&](Count* count) {
      ReferenceAccount& now = accounts[count->socket.inode];
      // Counted at several instants, it has to be counted again after a pause.
      if (now.complete() && !now.one_instant() && !may_wait(effort_)) return true;
      const bool repeated = count->last && *count->last == now;
      if (settled(now, repeated) && !now.unnamed()) {
        write_down(now, count->who);
        count->who.proof = SocketHolders::Proof::complete;
        count->who.accepted_known = true;
        count->settled = true;
        if (!accepted) accepted = accepted_among(*pass);
        add_accepted(accepted->sockets, accepted->known, count->socket, count->who);
        return true;
      }
      // Somebody else has it, or hides it.
      const bool elsewhere = now.steady() && !now.complete();
      count->last = std::move(now);
      return elsewhere;
    });
  }
}

// Passes over a part of the sockets each, as one.
Result<SocketPass> KernelHolders::pass_over(std::span<const std::uint64_t> inodes,
                                            const PassScope& scope, std::size_t at_a_time) {
  SocketPass all;
  while (!inodes.empty()) {
    const auto some = inodes.first(std::min(inodes.size(), at_a_time));
    inodes = inodes.subspan(some.size());
    auto one = view_.pass(some, scope);
    if (!one) return fail(std::move(one.error()));
    add_pass(std::move(*one), all);
  }
  return all;
}

Result<void> KernelHolders::settle_everywhere(std::vector<Count>& counts) {
  std::vector<std::uint64_t> inodes;
  std::vector<Count*> open;
  for (Count& count : counts) {
    count.last.reset();
    open.push_back(&count);
  }
  std::size_t at_a_time = KernelView::kMostSockets;
  for (const microseconds pause : kPauses) {
    if (open.empty()) break;
    if (pause.count() > 0) sleep_(pause);
    inodes.clear();
    for (const Count* const count : open) inodes.push_back(count->socket.inode);
    const auto pass = pass_over(inodes, {}, at_a_time);
    if (!pass) return fail(pass.error());
    at_a_time = next_share(*pass);
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

// Whoever can make a pass too long could have it that nothing is counted: so nobody is named.
void KernelHolders::give_up(std::vector<Count>& counts, const std::string& why, HolderScan& scan) {
  for (Count& count : counts) {
    count.who.proof = SocketHolders::Proof::moving;
    count.who.account = why;
    scan.by_inode.emplace(count.socket.inode, std::move(count.who));
  }
}

// Whoever opened it is not the holder. One that was there before the record began is among them:
// it can't be told from those that were accepted.
KernelHolders::Accepted KernelHolders::accepted_among(const SocketPass& pass) {
  Accepted accepted;
  accepted.known = pass.others_complete;
  std::size_t asked = 0;
  for (const OtherSocket& other : pass.others) {
    if (!has_peer(other)) continue;
    if (other.cookie != 0 && opened_.find(other.cookie) != nullptr) continue;
    if (other.cookie != 0) {
      const bool more = ++asked <= kAskedOthers;
      const auto connector =
          more ? view_.connector(other.cookie) : Result<std::optional<Connector>>{};
      accepted.known &= more && connector.has_value();
      if (connector && *connector) opened_.put(other.cookie, {});
      if (!more || !connector || *connector) continue;
    }
    // One more, in case that the socket which is asked about is among them.
    const bool room = accepted.sockets.size() <= kAccepted;
    accepted.known &= room;
    if (room) accepted.sockets.push_back(other);
  }
  return accepted;
}

void KernelHolders::look_for_accepted(std::vector<Count>& counts) {
  std::map<pid_t, Accepted> known;
  for (Count& count : counts) {
    SocketHolders& who = count.who;
    if (who.proof == SocketHolders::Proof::moving || who.holders.empty()) continue;
    who.accepted_known = who.holders.size() <= kSingly;
    for (std::size_t i = 0; i < std::min(who.holders.size(), kSingly); ++i) {
      const pid_t pid = who.holders[i].pid;
      auto found = known.find(pid);
      if (found == known.end()) {
        const auto pass = view_.pass({&count.socket.inode, 1}, {pid, true});
        found = known.emplace(pid, pass ? accepted_among(*pass) : Accepted{{}, false}).first;
      }
      add_accepted(found->second.sockets, found->second.known, count.socket, who);
    }
  }
}

struct KernelHolders::Check {
  const Seen* before = nullptr;
  std::optional<ReferenceAccount> last;
  std::optional<std::string> changed;

  // Whether that is all there is to say.
  [[nodiscard]] bool take(ReferenceAccount now) {
    changed = other_tasks(before->who->holders, now.holders());
    if (changed) return true;
    // What was held out of sight then may be seen or gone now: it is no proof either way.
    if (before->who->proof == SocketHolders::Proof::hidden) return true;
    if (settled(now, last && *last == now)) return true;
    last = std::move(now);
    return false;
  }
};

// One pass for each process that held any of them, and one over all for those with many holders.
Result<ReferenceAccounts> KernelHolders::look_again(std::span<Check* const> checks,
                                                    std::size_t at_a_time) {
  std::map<pid_t, std::vector<std::uint64_t>> wanted;
  for (const Check* const check : checks) {
    const auto& holders = check->before->who->holders;
    if (holders.size() > kSingly)
      wanted[0].push_back(check->before->socket.inode);
    else
      for (const Holder& holder : holders)
        wanted[holder.pid].push_back(check->before->socket.inode);
  }
  SocketPass all;
  for (const auto& [pid, inodes] : wanted) {
    auto one = pass_over(inodes, {pid, false, descriptor_limit()}, at_a_time);
    if (!one) return fail(std::move(one.error()));
    add_pass(std::move(*one), all);
  }
  return accounts_of(all);
}

std::vector<std::optional<std::string>> KernelHolders::changed(std::span<const Seen> before) {
  std::vector<std::optional<std::string>> outcomes(before.size());
  std::vector<Check> checks(before.size());
  std::vector<Check*> open;
  for (std::size_t i = 0; i < before.size(); ++i) {
    checks[i].before = &before[i];
    if (before[i].who->proof == SocketHolders::Proof::uncounted)
      checks[i].changed = may_wait(effort_) ? fallback_.changed(before[i].socket, *before[i].who)
                                            : std::optional<std::string>("not looked at again");
    else
      open.push_back(&checks[i]);
  }
  std::size_t at_a_time = KernelView::kMostSockets;
  for (const microseconds pause : kPauses) {
    if (open.empty() || (pause.count() > 0 && !may_wait(effort_))) break;
    if (pause.count() > 0) sleep_(pause);
    auto accounts = look_again(open, at_a_time);
    at_a_time = kFewSockets;
    for (Check* const check : open)
      if (!accounts)
        check->changed = "the holders can't be looked at again: " + describe(accounts.error());
    if (!accounts) open.clear();
    std::erase_if(open, [&](Check* check) {
      // A copy: another look may be for the same socket.
      return check->take((*accounts)[check->before->socket.inode]);
    });
  }
  for (Check* const check : open)
    check->changed = "the holders had all its references, and now: " + check->last->text();
  for (std::size_t i = 0; i < checks.size(); ++i) outcomes[i] = std::move(checks[i].changed);
  return outcomes;
}

}  // namespace warder::identity
