#include "identity/relays.h"

#include <algorithm>
#include <iterator>

namespace warder::identity {
namespace {

bool has_pid(const std::vector<Process>& processes, pid_t pid) {
  return std::any_of(processes.begin(), processes.end(),
                     [&](const Process& process) { return process.pid == pid; });
}

struct Peer {
  FoundSocket socket;
  Scope scope;
};
struct Peers {
  std::vector<Peer> peers;
  bool sure = false;  // it is the other end, and not another connection with the same ends
};

// The other end of an accepted connection. A tuple is unique in one namespace only: the one that
// shows the accepted socket itself, too.
Peers peers_of(const OtherSocket& accepted, const Sighting& peer, const Sighting& own) {
  Peers all;
  for (std::size_t k = 0; k < peer.size(); ++k) {
    if (peer[k].kind != ScopeFinding::Kind::found) continue;
    const bool home = k < own.size() && std::any_of(own[k].sockets.begin(), own[k].sockets.end(),
                                                    [&](const FoundSocket& socket) {
                                                      return socket.inode == accepted.inode;
                                                    });
    if (home) all.peers.clear();
    for (const FoundSocket& socket : peer[k].sockets) all.peers.push_back({socket, peer[k].scope});
    if (!home) continue;
    all.sure = peer[k].sockets.size() == 1;
    break;
  }
  return all;
}

}  // namespace

void RelayFinder::find(std::span<const OtherSocket> accepted, bool known, Identity& identity) {
  identity.via_complete = known;
  if (accepted.empty()) return;
  std::vector<Connection> ends;
  ends.reserve(2 * accepted.size());
  for (const OtherSocket& socket : accepted) {
    const auto local = socket.local.unmapped(), remote = socket.remote.unmapped();
    ends.push_back({remote, local, {}, true});
    ends.push_back({local, remote, {}, true});
  }
  const auto sightings = sockets_.find(ends);
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < accepted.size(); ++i) {
    auto found = peers_of(accepted[i], sightings[2 * i], sightings[2 * i + 1]);
    if (!found.sure) {
      identity.relays = true;
      identity.via_complete = false;
    }
    std::move(found.peers.begin(), found.peers.end(), std::back_inserter(peers));
  }
  if (peers.empty()) return;
  std::vector<FoundSocket> sockets;
  sockets.reserve(peers.size());
  for (const Peer& peer : peers) sockets.push_back(peer.socket);
  std::sort(sockets.begin(), sockets.end());
  sockets.erase(std::unique(sockets.begin(), sockets.end()), sockets.end());
  const HolderScan scan = holders_.find(sockets);
  for (const Peer& peer : peers) {
    const auto who = scan.by_inode.find(peer.socket.inode);
    add_programs(who == scan.by_inode.end() ? SocketHolders{} : who->second, {&peer.scope, 1},
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
  add_behind(std::move(process), identity);
}

}  // namespace warder::identity
