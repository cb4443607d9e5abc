#include "identity/relays.h"

#include <algorithm>

namespace warder::identity {
namespace {

bool has_pid(const std::vector<Process>& processes, pid_t pid) {
  return std::any_of(processes.begin(), processes.end(),
                     [&](const Process& process) { return process.pid == pid; });
}

}  // namespace

void RelayFinder::find(std::span<const OtherSocket> accepted, bool known, Identity& identity) {
  identity.via_complete = known;
  if (accepted.empty()) return;
  std::vector<Connection> connections;
  connections.reserve(accepted.size());
  for (const OtherSocket& socket : accepted)
    connections.push_back({socket.remote.unmapped(), socket.local.unmapped(), {}});
  const auto sightings = sockets_.find(connections);
  std::vector<SocketVerdict> verdicts;
  std::vector<FoundSocket> peers;
  for (const Sighting& sighting : sightings) {
    verdicts.push_back(judge(sighting));
    const SocketVerdict& verdict = verdicts.back();
    // Closed: it has nobody behind it any more, but it had, and may have left bytes.
    if (verdict.sockets.empty()) {
      identity.via_complete = false;
      identity.relays = true;
    }
    peers.insert(peers.end(), verdict.sockets.begin(), verdict.sockets.end());
  }
  if (peers.empty()) return;
  std::sort(peers.begin(), peers.end());
  peers.erase(std::unique(peers.begin(), peers.end()), peers.end());
  const HolderScan scan = holders_.find(peers);
  for (const SocketVerdict& verdict : verdicts)
    for (const FoundSocket& socket : verdict.sockets) {
      const auto who = scan.by_inode.find(socket.inode);
      add_programs(who == scan.by_inode.end() ? SocketHolders{} : who->second, verdict.scopes,
                   identity);
    }
  std::sort(identity.via.begin(), identity.via.end(),
            [](const Process& a, const Process& b) { return a.pid < b.pid; });
}

void RelayFinder::add_programs(const SocketHolders& who, std::span<const Scope> scopes,
                               Identity& identity) {
  // A process that talks to itself relays for nobody.
  const bool itself = !who.holders.empty() &&
                      std::all_of(who.holders.begin(), who.holders.end(), [&](const Holder& one) {
                        return has_pid(identity.processes, one.pid);
                      });
  if (itself && who.proof == SocketHolders::Proof::complete) return;
  identity.relays = true;
  identity.via_complete &= who.proof == SocketHolders::Proof::complete && who.accepted_known &&
                           who.accepted.empty() && !who.holders.empty();
  for (const Holder& holder : who.holders) add_program(holder, scopes, identity);
  if (!who.connector) return;
  const KernelTask& connector = who.connector->task;
  const auto is_connector = [&](const Holder& holder) {
    return holder.kernel && holder.kernel->task.pid == connector.pid &&
           holder.kernel->task.start_ns == connector.start_ns;
  };
  // It may have written before it let go, and can't be asked any more with certainty.
  if (std::none_of(who.holders.begin(), who.holders.end(), is_connector))
    identity.via_complete = false;
}

void RelayFinder::add_program(const Holder& holder, std::span<const Scope> scopes,
                              Identity& identity) {
  if (has_pid(identity.via, holder.pid) || has_pid(identity.processes, holder.pid)) return;
  auto read = facts_.read(holder);
  if (!read) {
    identity.via_complete = false;
    return;
  }
  facts_.give_name(*read, scopes);
  Process process;
  process.pid = read->pid;
  process.uid = read->uid;
  process.gid = read->gid;
  process.start_time = read->start_time;
  process.image = read->image;
  process.binary = std::move(read->binary);
  process.path = std::move(read->path);
  process.deleted = read->deleted;
  identity.via.push_back(std::move(process));
}

}  // namespace warder::identity
