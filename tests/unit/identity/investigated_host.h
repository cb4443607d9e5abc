#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "identity/investigator.h"

namespace warder::identity {

// A host in a few maps; `on_*` change it at the moment before it is looked at the n-th time.
struct InvestigatedHost : SocketFinder, HolderFinder, ProcessFacts, Rights {
  std::map<pid_t, Process> processes;
  std::vector<std::uint64_t> inodes{4711};  // of the one connection, in the global scope
  bool closed = false, unreadable_table = false;
  std::map<std::uint64_t, std::vector<Holder>> holders;
  std::map<std::uint64_t, SocketHolders> kernel;       // what is known beside `holders`
  std::map<std::uint16_t, std::uint64_t> accepted_at;  // inodes of accepted ones, by their port
  std::map<std::uint16_t, std::uint64_t> peers;  // inodes of other connections, by client port
  std::size_t unreadable = 0;
  bool forbidden = false;  // facts can't be read
  std::string lacking;
  int searches = 0, walks = 0, reads = 0;
  std::vector<std::string> steps;
  Effort effort;
  std::function<void(int)> on_search, on_walk, on_vitals;

  std::vector<Sighting> find(std::span<const Connection> connections) override {
    ++searches;
    if (on_search) on_search(searches);
    ScopeFinding finding{Scope{}, ScopeFinding::Kind::absent, {}, "seen"};
    for (const std::uint64_t inode : inodes) finding.sockets.push_back({inode, 0});
    if (!inodes.empty()) finding.kind = ScopeFinding::Kind::found;
    if (closed) finding = {Scope{}, ScopeFinding::Kind::closed, {}, "closed"};
    if (unreadable_table) finding = {Scope{}, ScopeFinding::Kind::unreadable, {}, "not readable"};
    std::vector<Sighting> sightings(connections.size(), Sighting{finding});
    for (std::size_t i = 0; i < connections.size(); ++i) {
      if (connections[i].client.port == 0) continue;
      if (const auto own = accepted_at.find(connections[i].client.port); own != accepted_at.end()) {
        sightings[i] = {
            ScopeFinding{Scope{}, ScopeFinding::Kind::found, {{own->second, 0}}, "seen"}};
        continue;
      }
      const auto peer = peers.find(connections[i].client.port);
      sightings[i] = {
          peer == peers.end()
              ? ScopeFinding{Scope{}, ScopeFinding::Kind::absent, {}, "no entry"}
              : ScopeFinding{Scope{}, ScopeFinding::Kind::found, {{peer->second, 0}}, "seen"}};
    }
    return sightings;
  }
  HolderScan find(std::span<const FoundSocket> wanted) override {
    ++walks;
    if (on_walk) on_walk(walks);
    HolderScan scan;
    for (const FoundSocket& socket : wanted) {
      if (const auto found = kernel.find(socket.inode); found != kernel.end())
        scan.by_inode[socket.inode] = found->second;
      if (const auto found = holders.find(socket.inode); found != holders.end())
        scan.by_inode[socket.inode].holders = found->second;
    }
    scan.unreadable = unreadable;
    return scan;
  }
  using HolderFinder::changed;
  std::vector<std::optional<std::string>> changed(std::span<const Seen> before) override {
    std::vector<std::optional<std::string>> outcomes(before.size());
    for (std::size_t i = 0; i < before.size(); ++i)
      if (holders[before[i].socket.inode] != before[i].who->holders) outcomes[i] = "other holders";
    return outcomes;
  }
  Result<Vitals> vitals(const Holder& holder) override {
    if (on_vitals) on_vitals(walks);
    const auto found = processes.find(holder.pid);
    if (found == processes.end()) return fail(Errc::not_found, "stat");
    return Vitals{found->second.start_time, found->second.image};
  }
  Result<Process> read(const Holder& holder) override {
    if (forbidden) return fail(from_errno(EACCES, "exe"));
    ++reads;
    const auto found = processes.find(holder.pid);
    if (found == processes.end()) return fail(Errc::not_found, "stat");
    return found->second;
  }
  void give_name(Process&, std::span<const Scope>) override {}
  std::string missing() override { return lacking; }

  void add(pid_t pid, const std::string& path, std::uint64_t image, std::uint64_t inode = 4711) {
    Process process;
    process.pid = pid;
    process.path = path;
    process.binary = path;
    process.image = {1, image};
    process.start_time = 100;
    processes[pid] = process;
    holders[inode].push_back({pid, pid, {}});
  }
  // As the kernel tells it: `pid` connected, and all references are accounted for.
  void prove(pid_t pid, std::uint64_t inode = 4711) {
    SocketHolders& known = kernel[inode];
    known.proof = SocketHolders::Proof::complete;
    known.connector_asked = known.accepted_known = true;
    known.connector = Connector{task(pid), 1000};
    for (Holder& holder : holders[inode]) holder.kernel = SocketPass::Task{task(holder.pid), {}};
  }
  KernelTask task(pid_t pid) {
    return {pid, processes[pid].start_time * 10'000'000, 1, {1, 0, processes[pid].image.inode}};
  }
  Identity look() {
    const Connection connection;
    ProcInvestigator investigator(*this, *this, *this, *this, Trace([this](std::string_view step) {
      steps.emplace_back(step);
    }));
    return investigator.look({&connection, 1}).front();
  }
  std::optional<Identity> look_at_once() { return look_at_once(Target{}); }
  std::optional<Identity> confirm_at_once() { return look_at_once(Target{{}, true}); }
  std::optional<Identity> look_at_once(const Target& target) {
    ProcInvestigator investigator(*this, *this, *this, *this, {}, &effort);
    return std::move(investigator.look_at_once({&target, 1}).front());
  }
  // `confirmed`: those of them that are looked at a second time.
  std::vector<std::optional<Identity>> look_at_once(
      const std::vector<std::uint16_t>& ports, const std::vector<std::uint16_t>& confirmed = {}) {
    std::vector<Target> targets(ports.size());
    for (std::size_t i = 0; i < ports.size(); ++i) {
      targets[i].connection.client.port = ports[i];
      targets[i].confirms =
          std::find(confirmed.begin(), confirmed.end(), ports[i]) != confirmed.end();
    }
    ProcInvestigator investigator(*this, *this, *this, *this, {}, &effort);
    return investigator.look_at_once(targets);
  }
};

}  // namespace warder::identity
