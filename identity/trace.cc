#include "identity/trace.h"

#include <algorithm>
#include <string>

namespace warder::identity {
namespace {

std::string_view name(SocketHolders::Proof proof) {
  switch (proof) {
    case SocketHolders::Proof::uncounted: return "its references can't be counted";
    case SocketHolders::Proof::complete: return "nobody else has it";
    case SocketHolders::Proof::hidden: return "somebody holds it out of sight";
    case SocketHolders::Proof::moving: return "the counts kept changing";
  }
  return "its references can't be counted";
}

std::string connector_text(const SocketHolders& who) {
  if (!who.connector_asked) return "not recorded here";
  if (!who.connector) return "no record: the connection is older than the record of connects";
  const KernelTask& task = who.connector->task;
  return task.pid == 0 ? "a process without a number in this PID namespace"
                       : "process " + std::to_string(task.pid);
}

std::string holders_text(const SocketHolders& who) {
  std::string text;
  for (const Holder& holder : who.holders)
    text += (text.empty() ? "process " : ", ") + std::to_string(holder.pid);
  if (text.empty()) text = "nobody that can be seen";
  text += "; " + std::string(name(who.proof));
  return who.account.empty() ? text : text + " (" + who.account + ")";
}

}  // namespace

void Trace::attempt(int number) const {
  if (listener_ && number > 1) listener_("attempt " + std::to_string(number) + ", from the start");
}

void Trace::searched(const Sighting& sighting, bool again) const {
  if (!listener_) return;
  const std::string_view what = again ? "second look: socket in " : "socket in ";
  for (const ScopeFinding& finding : sighting)
    listener_(std::string(what) + finding.scope.name() + " (" + std::string(finding.method) +
              "): " + finding.outcome);
}

void Trace::scanned(const HolderScan& scan) const {
  if (!listener_) return;
  for (const auto& [inode, who] : scan.by_inode) {
    const std::string socket = " of inode " + std::to_string(inode) + ": ";
    listener_("connector" + socket + connector_text(who));
    listener_("holders" + socket + holders_text(who));
  }
  if (scan.by_inode.empty()) listener_("holders: nobody that can be seen");
  if (scan.unreadable > 0)
    listener_("processes that could not be looked into: " + std::to_string(scan.unreadable));
}

void Trace::read(const Process& process) const {
  if (!listener_) return;
  std::string text = "facts of process " + std::to_string(process.pid) + ": " + process.path;
  text += process.binary ? "" : ", a name that can't be trusted";
  if (process.sha256) text += ", sha256 " + *process.sha256;
  if (!process.sha256_missing.empty()) text += ", no sha256: " + process.sha256_missing;
  if (process.container) text += ", container " + *process.container;
  if (!process.ancestors.empty())
    text += ", started by " + process.ancestors.front() + " and " +
            std::to_string(process.ancestors.size() - 1) + " above it";
  listener_(text);
}

void Trace::looked_again(std::string_view problem) const {
  if (!listener_) return;
  listener_(problem.empty() ? "second look: all as before"
                            : "second look: " + std::string(problem));
}

void Trace::concluded(const Identity& identity) const {
  if (!listener_) return;
  std::string text = "conclusion: " + std::string(identity::name(identity.grade));
  text += identity.reason ? ": " + std::string(identity::name(*identity.reason))
                          : ", " + std::string(identity::name(identity.assurance));
  std::string_view separator = " because of ";
  for (const Cause cause : identity.causes) {
    text += std::string(separator) + std::string(identity::name(cause));
    separator = ", ";
  }
  listener_(text);
}

}  // namespace warder::identity
