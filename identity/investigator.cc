#include "identity/investigator.h"

#include <unistd.h>

#include <algorithm>
#include <map>
#include <utility>

namespace warder::identity {
namespace {

constexpr int kAttempts = 2;

std::string connector_text(pid_t pid) {
  if (pid == 0) return "a process in another PID namespace";
  return "process " + std::to_string(pid) + ", which has ended";
}

bool worth_another_look(Reason reason) {
  return reason == Reason::raced || reason == Reason::process_gone ||
         reason == Reason::owner_not_found || reason == Reason::owner_unreadable;
}

void add_cause(Identity& identity, Cause cause) {
  auto& causes = identity.causes;
  if (std::find(causes.begin(), causes.end(), cause) == causes.end()) causes.push_back(cause);
  std::sort(causes.begin(), causes.end());
}

void set_assurance(Identity& identity, Assurance at_most) {
  identity.assurance = at_most;
  for (const Cause cause : identity.causes)
    identity.assurance = std::max(identity.assurance, at_best(cause));
}

std::string unreadable_text(std::size_t count, pid_t one) {
  std::string text = count == 1 ? "1 process" : std::to_string(count) + " processes";
  if (one != 0) text += (count == 1 ? ", pid " : ", among them pid ") + std::to_string(one) + ",";
  return text + " could not be looked into";
}

void sort_by_pid(std::vector<Process>& processes) {
  std::sort(processes.begin(), processes.end(),
            [](const Process& a, const Process& b) { return a.pid < b.pid; });
}

// start_boottime counts nanoseconds; procfs shows it in clock ticks (fs/proc/array.c).
bool is_still(const KernelTask& then, const Process& now) {
  constexpr std::uint64_t kNanoseconds = 1'000'000'000;
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return then.start_ns / (kNanoseconds / ticks) == now.start_time;
}

bool same_process(const KernelTask& a, const KernelTask& b) {
  return a.pid == b.pid && a.start_ns == b.start_ns;
}

}  // namespace

// One connection and what is known of it so far.
struct ProcInvestigator::Case {
  const Connection* connection = nullptr;
  bool confirms = false;
  Sighting sighting;
  SocketVerdict verdict;
  struct Found {
    FoundSocket socket;
    SocketHolders who;
  };
  std::vector<Found> found;
  std::vector<Holder> holders;     // of all of them, one entry a process
  std::vector<Process> processes;  // what each is
  std::size_t unreadable = 0;
  pid_t one_unreadable = 0;
  std::optional<Reason> reason;
  std::string note;            // what went wrong after the socket was found
  bool process_ended = false;  // in any attempt

  [[nodiscard]] bool hidden() const {
    return std::any_of(found.begin(), found.end(), [](const Found& each) {
      return each.who.proof == SocketHolders::Proof::hidden;
    });
  }
  void fail(Reason why, std::string what) {
    reason = why;
    note = std::move(what);
    process_ended |= why == Reason::process_gone;
  }
};

// What the processes of one attempt are, each read once: a program may have many of the
// connections.
class ProcInvestigator::SharedFacts {
 public:
  explicit SharedFacts(ProcessFacts& facts) : facts_(facts) {}

  [[nodiscard]] Result<Process> of(const Holder& holder, const std::vector<Scope>& scopes) {
    auto& known = known_[holder];
    for (const Known& one : known)
      if (one.kernel == holder.kernel && one.scopes == scopes) return one.process;
    auto process = facts_.read(holder);
    if (!process) return process;
    facts_.give_name(*process, scopes);
    known.push_back({holder.kernel, scopes, *process});
    return process;
  }

 private:
  struct Known {
    std::optional<SocketPass::Task> kernel;  // not the same in two passes, after an execve(2)
    std::vector<Scope> scopes;               // a name depends on where it is looked for
    Process process;
  };
  ProcessFacts& facts_;
  std::map<Holder, std::vector<Known>> known_;
};

std::vector<std::optional<Identity>> Investigator::look_at_once(std::span<const Target> targets) {
  return std::vector<std::optional<Identity>>(targets.size());
}

std::vector<std::optional<Identity>> ProcInvestigator::look_at_once(
    std::span<const Target> targets) {
  std::vector<std::optional<Identity>> identities(targets.size());
  if (effort_ == nullptr) return identities;
  if (look_together(targets, identities) || targets.size() == 1) return identities;
  for (std::size_t i = 0; i < targets.size(); ++i)
    look_together(targets.subspan(i, 1), {&identities[i], 1});
  return identities;
}

bool ProcInvestigator::look_together(std::span<const Target> targets,
                                     std::span<std::optional<Identity>> identities) {
  std::vector<Case> cases(targets.size());
  std::vector<Case*> pointers;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    cases[i].connection = &targets[i].connection;
    cases[i].confirms = targets[i].confirms;
    pointers.push_back(&cases[i]);
  }
  {
    const Effort::AtOnce at_once(*effort_);
    attempt(pointers);
    if (effort_->gave_up()) return false;
  }
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (cases[i].reason) continue;
    const Effort::AtOnce at_once(*effort_);
    Identity identity = conclude(cases[i]);
    if (!effort_->gave_up()) identities[i] = std::move(identity);
  }
  return true;
}

std::vector<Identity> ProcInvestigator::look(std::span<const Connection> connections) {
  std::vector<Case> cases(connections.size());
  std::vector<Case*> open;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    cases[i].connection = &connections[i];
    open.push_back(&cases[i]);
  }
  for (int i = 0; i < kAttempts && !open.empty(); ++i) {
    trace_.attempt(i + 1);
    attempt(open);
    std::erase_if(
        open, [](const Case* one) { return !one->reason || !worth_another_look(*one->reason); });
  }
  std::vector<Identity> identities;
  identities.reserve(cases.size());
  for (Case& one : cases) {
    identities.push_back(conclude(one));
    trace_.concluded(identities.back());
  }
  return identities;
}

void ProcInvestigator::attempt(std::span<Case* const> cases) {
  search(cases, false);
  std::vector<FoundSocket> sockets;
  std::vector<Case*> found;
  for (Case* const one : cases) {
    one->reason.reset();
    one->note.clear();
    one->unreadable = 0;
    if (one->verdict.closed) {
      one->fail(Reason::client_gone, {});
    } else if (one->verdict.sockets.empty()) {
      one->fail(one->verdict.translated   ? Reason::address_translated
                : one->verdict.unreadable ? Reason::table_unreadable
                                          : Reason::socket_not_found,
                {});
    } else {
      sockets.insert(sockets.end(), one->verdict.sockets.begin(), one->verdict.sockets.end());
      found.push_back(one);
    }
  }
  if (found.empty()) return;
  std::sort(sockets.begin(), sockets.end());
  sockets.erase(std::unique(sockets.begin(), sockets.end()), sockets.end());
  const HolderScan scan = holders_.find(sockets);
  trace_.scanned(scan);
  SharedFacts facts(facts_);
  for (Case* const one : found) {
    examine(*one, scan);
    if (!one->reason) read_facts(*one, facts);
  }
  std::erase_if(found, [](const Case* one) { return one->reason || one->confirms; });
  if (gave_up(effort_)) return;
  if (!found.empty()) verify(found);
}

// A table can leave out rows while it changes: what is in none is looked for a second time.
void ProcInvestigator::search(std::span<Case* const> cases, bool again) {
  std::vector<Case*> wanted(cases.begin(), cases.end());
  for (int i = 0; i < 2 && !wanted.empty() && (i == 0 || may_wait(effort_)); ++i) {
    std::vector<Connection> connections;
    connections.reserve(wanted.size());
    for (const Case* const one : wanted) connections.push_back(*one->connection);
    auto sightings = sockets_.find(connections);
    for (std::size_t k = 0; k < wanted.size(); ++k) {
      wanted[k]->sighting = std::move(sightings[k]);
      wanted[k]->verdict = judge(wanted[k]->sighting);
      trace_.searched(wanted[k]->sighting, again);
    }
    std::erase_if(wanted, [](const Case* one) {
      return one->verdict.closed || !one->verdict.sockets.empty();
    });
  }
}

void ProcInvestigator::examine(Case& one, const HolderScan& scan) {
  one.holders.clear();
  one.found.clear();
  bool complete = true;
  std::optional<std::string> moving;
  for (const FoundSocket& socket : one.verdict.sockets) {
    const auto who = scan.by_inode.find(socket.inode);
    one.found.push_back({socket, who == scan.by_inode.end() ? SocketHolders{} : who->second});
    const SocketHolders& seen = one.found.back().who;
    one.holders.insert(one.holders.end(), seen.holders.begin(), seen.holders.end());
    complete &= seen.proof == SocketHolders::Proof::complete;
    if (seen.proof == SocketHolders::Proof::moving) moving = seen.account;
  }
  // Where all references are accounted for, it doesn't matter who could not be looked into.
  one.unreadable = complete ? 0 : scan.unreadable;
  one.one_unreadable = complete ? 0 : scan.one_unreadable;
  std::sort(one.holders.begin(), one.holders.end());
  const auto same_pid = [](const Holder& a, const Holder& b) { return a.pid == b.pid; };
  one.holders.erase(std::unique(one.holders.begin(), one.holders.end(), same_pid),
                    one.holders.end());
  if (moving) return one.fail(Reason::raced, "its references kept changing: " + *moving);
  if (!one.holders.empty()) return;
  if (one.unreadable > 0)
    one.fail(Reason::owner_unreadable, "no holder was seen");
  else if (one.hidden())
    one.fail(Reason::owner_not_found, one.found.front().who.account);
  else
    one.fail(Reason::owner_not_found, "no process that can be seen has a descriptor of it");
}

void ProcInvestigator::read_facts(Case& one, SharedFacts& shared) {
  one.processes.clear();
  for (const Holder& holder : one.holders) {
    auto process = shared.of(holder, one.verdict.scopes);
    if (process) {
      trace_.read(*process);
      one.processes.push_back(std::move(*process));
      continue;
    }
    const std::string who = "process " + std::to_string(holder.pid);
    if (process.error().code != Errc::not_found)
      return one.fail(Reason::owner_unreadable, who + ": " + describe(process.error()));
    const bool alone = one.holders.size() == 1;
    return one.fail(alone ? Reason::process_gone : Reason::raced,
                    who + " ended while it was looked at");
  }
}

void ProcInvestigator::verify(std::span<Case* const> cases) {
  std::vector<Case> again(cases.size());
  std::vector<Case*> pointers;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    again[i].connection = cases[i]->connection;
    pointers.push_back(&again[i]);
    verify_vitals(*cases[i]);
  }
  verify_holders(cases);
  // The sockets last: as long as the first process has it, its number can't be another's.
  search(pointers, true);
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (!cases[i]->reason && cases[i]->verdict != again[i].verdict)
      cases[i]->fail(Reason::raced, "then " + text(again[i].sighting));
    trace_.looked_again(cases[i]->note);
  }
}

void ProcInvestigator::verify_vitals(Case& one) {
  for (std::size_t i = 0; i < one.holders.size(); ++i) {
    const Holder& holder = one.holders[i];
    const Process& process = one.processes[i];
    const auto vitals = facts_.vitals(holder);
    if (!vitals && vitals.error().code == Errc::not_found && one.holders.size() == 1)
      return one.fail(Reason::process_gone,
                      pid_and_path(process) + " ended while it was looked at");
    if (!vitals || *vitals != Vitals{process.start_time, process.image})
      return one.fail(Reason::raced, pid_and_path(process) + " became another program");
  }
}

void ProcInvestigator::verify_holders(std::span<Case* const> cases) {
  std::vector<HolderFinder::Seen> before;
  std::vector<Case*> whose;
  for (Case* const one : cases) {
    if (one->reason) continue;
    for (const Case::Found& found : one->found) {
      before.push_back({found.socket, &found.who});
      whose.push_back(one);
    }
  }
  auto changes = holders_.changed(before);
  for (std::size_t i = 0; i < changes.size(); ++i)
    if (changes[i] && !whose[i]->reason) whose[i]->fail(Reason::raced, std::move(*changes[i]));
}

Identity ProcInvestigator::conclude(Case& one) {
  // That it ended explains more than that nothing of it was there any more at the second look.
  if (one.process_ended && one.reason && *one.reason != Reason::raced)
    one.reason = Reason::process_gone;
  Identity identity;
  identity.searched.reserve(one.sighting.size());
  for (const ScopeFinding& finding : one.sighting)
    identity.searched.push_back({finding.scope, finding.outcome});
  if (!one.verdict.scopes.empty()) identity.scope = one.verdict.scopes.front();
  identity.inode = one.verdict.first_inode;
  identity.method = one.verdict.method;
  identity.reason = one.reason;
  identity.detail = explain(one);
  if (one.reason) {
    if (*one.reason == Reason::owner_not_found && one.hidden())
      add_cause(identity, Cause::hidden_holder);
    set_assurance(identity, identity.causes.empty() ? Assurance::observed : Assurance::proven);
    return identity;
  }

  identity.processes = std::move(one.processes);
  for (Process& process : identity.processes) process.roles = {Role::holder};
  identity.grade = grade_of(identity.processes, one.verdict.sockets.size());
  add_connector(one, identity);
  add_causes(one, identity);
  set_assurance(identity, Assurance::proven);
  add_relays(one, identity);
  return identity;
}

void ProcInvestigator::add_causes(const Case& one, Identity& identity) {
  for (const Process& process : identity.processes) {
    // One that connected and has ended since shows no path at all.
    if (!process.binary && !process.path.empty())
      add_cause(identity, process.deleted ? Cause::image_replaced : Cause::alien_path);
    if (process.traced) add_cause(identity, Cause::traced);
    if (process.image_settable) add_cause(identity, Cause::image_exchanged);
  }
  for (const Case::Found& found : one.found) {
    if (found.who.proof == SocketHolders::Proof::hidden)
      add_cause(identity, Cause::hidden_holder);
    else if (found.who.proof != SocketHolders::Proof::complete)
      add_cause(identity, Cause::references_uncounted);
  }
  if (one.unreadable > 0) add_cause(identity, Cause::unreadable_processes);
}

// Who connected is either one of the holders, running what it ran then, or one more program that
// may have written to the connection.
void ProcInvestigator::add_connector(const Case& one, Identity& identity) {
  const std::optional<Connector>& connector = one.found.front().who.connector;
  // Holders that procfs told of can't be compared with what the kernel recorded.
  const bool comparable =
      std::all_of(one.holders.begin(), one.holders.end(),
                  [](const Holder& holder) { return holder.kernel.has_value(); });
  if (one.found.size() > 1 || !connector || !comparable)
    return add_cause(identity, Cause::connector_unknown);
  const KernelTask& then = connector->task;
  bool one_image = then.image != KernelImage{};
  bool holds = false;
  for (std::size_t i = 0; i < one.holders.size(); ++i) {
    const KernelTask& now = one.holders[i].kernel->task;
    one_image &= now.image == then.image;
    if (!same_process(now, then)) continue;
    holds = true;
    auto& roles = identity.processes[i].roles;
    roles.insert(roles.begin(), Role::connector);
    // It may run what it ran then, and another program may have been in between.
    if (now.image != then.image || now.executions != then.executions)
      add_cause(identity, Cause::image_changed);
  }
  if (one_image) return;
  identity.grade = Grade::ambiguous;
  if (holds) return;
  identity.processes.push_back(connector_facts(*connector, one.verdict.scopes));
  sort_by_pid(identity.processes);
}

void ProcInvestigator::add_relays(const Case& one, Identity& identity) {
  std::vector<OtherSocket> accepted;
  bool known = true;
  for (const Case::Found& found : one.found) {
    known &= found.who.accepted_known;
    accepted.insert(accepted.end(), found.who.accepted.begin(), found.who.accepted.end());
  }
  if (!accepted.empty() && !may_wait(effort_)) return;
  relays_.find(accepted, known, identity);
}

// What can still be told of a process that connected and then let go of the connection.
Process ProcInvestigator::connector_facts(const Connector& connector,
                                          std::span<const Scope> scopes) {
  const Holder holder{connector.task.pid, connector.task.pid, {}};
  Process process;
  if (connector.task.pid != 0) {
    auto read = facts_.read(holder);
    if (read && is_still(connector.task, *read)) {
      process = std::move(*read);
      facts_.give_name(process, scopes);
    }
  }
  process.pid = connector.task.pid;
  process.uid = connector.uid;
  process.roles = {Role::connector};
  return process;
}

std::string ProcInvestigator::explain(const Case& one) {
  std::string detail = text(one.sighting);
  if (!one.note.empty()) detail += "; " + one.note;
  if (one.unreadable > 0) detail += "; " + unreadable_text(one.unreadable, one.one_unreadable);
  if (one.unreadable > 0 || one.reason == Reason::owner_not_found ||
      one.reason == Reason::owner_unreadable) {
    const std::string missing = rights_.missing();
    if (!missing.empty()) detail += " (" + missing + ")";
  }
  if (one.reason == Reason::owner_not_found && one.found.front().who.connector) {
    const Process process = connector_facts(*one.found.front().who.connector, one.verdict.scopes);
    detail += "; connected by " +
              (process.path.empty() ? connector_text(process.pid) : pid_and_path(process));
  }
  if (one.reason) return detail;
  if (one.verdict.sockets.size() > 1) detail += "; different sockets have this address pair";
  const SocketHolders& who = one.found.front().who;
  if (!who.account.empty()) detail += "; " + who.account;
  std::string unchecked;
  if (!who.connector)
    unchecked = "which process connected";
  else if (who.proof == SocketHolders::Proof::uncounted)
    unchecked = "whether the process that connected still runs the same program";
  if (who.proof == SocketHolders::Proof::uncounted)
    unchecked += std::string(unchecked.empty() ? "" : ", and ") +
                 "whether a descriptor is held out of sight";
  if (!unchecked.empty()) detail += "; not checked: " + unchecked;
  return detail;
}

Grade grade_of(const std::vector<Process>& processes, std::size_t sockets) {
  if (processes.empty()) return Grade::unresolved;
  if (sockets > 1) return Grade::ambiguous;
  if (processes.size() == 1) return Grade::exact;
  const bool one_image =
      std::all_of(processes.begin(), processes.end(),
                  [&](const Process& process) { return process.image == processes.front().image; });
  return one_image ? Grade::shared : Grade::ambiguous;
}

}  // namespace warder::identity
