#include "identity/kernel_holders.h"

#include <netinet/tcp.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <map>

namespace warder::identity {
namespace {

using Proof = SocketHolders::Proof;
using std::chrono::microseconds;

constexpr FoundSocket kSocket{4711, 99};

// A kernel in a few maps. `on_pass` changes it before the n-th pass.
struct ScriptedKernel : KernelView, HolderFinder {
  struct Shown {
    pid_t pid;
    int descriptor;
    std::uint64_t table;
    std::uint32_t waiting = 0;
    bool steady = true;
    std::uint64_t inode = kSocket.inode;
  };
  std::map<pid_t, KernelTask> tasks;
  std::vector<Shown> shown;
  std::map<std::uint64_t, std::uint64_t> references;  // by inode
  std::map<std::uint64_t, Connector> connectors;      // by cookie
  std::vector<OtherSocket> others;
  bool others_complete = true;
  bool too_long = false;
  std::size_t counts_waiting_of = 1000;  // sockets in one pass
  bool broken = false, record_broken = false;
  int passes = 0, full_passes = 0, walks = 0, unlimited = 0;
  Effort effort;
  microseconds slept{0};
  std::vector<std::uint64_t> asked;  // cookies
  std::function<void(int)> on_pass;

  Result<std::optional<Connector>> connector(std::uint64_t cookie) override {
    if (record_broken) return fail(Errc::system, "no record");
    asked.push_back(cookie);
    const auto found = connectors.find(cookie);
    if (found == connectors.end()) return std::optional<Connector>{};
    return std::optional<Connector>{found->second};
  }
  Result<SocketPass> pass(std::span<const std::uint64_t> inodes, const PassScope& scope) override {
    const pid_t pid = scope.pid;
    ++passes;
    full_passes += pid == 0 ? 1 : 0;
    unlimited += scope.most_descriptors == 0 ? 1 : 0;
    if (on_pass) on_pass(passes);
    if (too_long) return fail(Errc::overloaded, "a pass tells too much");
    if (broken) return fail(Errc::system, "no iterator");
    if (inodes.size() > kMostSockets) return fail(Errc::overloaded, "too many");
    const bool waiting_known = inodes.size() <= counts_waiting_of;
    SocketPass pass;
    std::map<pid_t, std::size_t> index;
    for (const Shown& one : shown) {
      if (pid != 0 && one.pid != pid) continue;
      if (std::find(inodes.begin(), inodes.end(), one.inode) == inodes.end()) continue;
      const auto [at, first] = index.try_emplace(one.pid, pass.tasks.size());
      if (first) pass.tasks.push_back({tasks[one.pid], {}});
      pass.held.push_back({at->second, one.pid, one.descriptor, one.inode, one.table,
                           references[one.inode], waiting_known ? one.waiting : 0, one.steady,
                           waiting_known});
    }
    if (scope.others) {
      pass.others = others;
      pass.others_complete = others_complete;
    }
    return pass;
  }
  HolderScan find(std::span<const FoundSocket> sockets) override {
    ++walks;
    HolderScan scan;
    for (const FoundSocket& socket : sockets) scan.by_inode[socket.inode].holders = {{5, 5, {}}};
    scan.unreadable = 2;
    return scan;
  }
  using HolderFinder::changed;
  std::vector<std::optional<std::string>> changed(std::span<const Seen> before) override {
    return {before.size(), "the walk says so"};
  }

  void add(pid_t pid, int descriptor, std::uint64_t inode = kSocket.inode) {
    if (!tasks.contains(pid)) tasks[pid] = {pid, 1000U + static_cast<unsigned>(pid), 1, {1, 0, 7}};
    shown.push_back({pid, descriptor, 100U + static_cast<unsigned>(pid), 0, true, inode});
    ++references[inode];
  }
  void connected_by(pid_t pid) { connectors[kSocket.cookie] = {tasks[pid], 1000}; }
  // The table of section 3: `pid` connected and has descriptor 3.
  void plain(pid_t pid) {
    add(pid, 3);
    connected_by(pid);
  }

  KernelHolders finder() {
    return {*this, *this, [this](microseconds time) { slept += time; }, &effort};
  }
  SocketHolders look() {
    auto holders = finder();
    const auto scan = holders.find({&kSocket, 1});
    CHECK(scan.unreadable == 0);
    return scan.by_inode.at(kSocket.inode);
  }
};

std::vector<pid_t> pids(const SocketHolders& who) {
  std::vector<pid_t> all;
  for (const Holder& holder : who.holders) all.push_back(holder.pid);
  return all;
}

}  // namespace

TEST_CASE("a plain client is proven by one pass over the process that connected", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  const SocketHolders who = kernel.look();
  CHECK(who.proof == Proof::complete);
  CHECK(pids(who) == std::vector<pid_t>{7});
  CHECK(who.holders.front().kernel->task == kernel.tasks[7]);
  CHECK(who.connector->task.pid == 7);
  CHECK(who.connector_asked);
  CHECK(who.accepted_known);
  CHECK(who.accepted.empty());
  CHECK(who.account == "1 reference: 1 descriptor");
  CHECK(kernel.passes == 1);
}

TEST_CASE("at once: one process is looked at, nobody waits and nothing is walked", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  const SocketHolders before = kernel.look();
  kernel.passes = kernel.unlimited = 0;
  auto holders = kernel.finder();
  const Effort::AtOnce at_once(kernel.effort);
  CHECK(kernel.look().proof == Proof::complete);
  CHECK_FALSE(holders.changed(kSocket, before));
  CHECK_FALSE(kernel.effort.gave_up());
  CHECK(kernel.passes == 2);
  CHECK(kernel.unlimited == 0);

  SECTION("held by another process") {
    kernel.shown.clear();
    kernel.add(8, 3);
    CHECK(holders.find({&kSocket, 1}).by_inode.empty());
  }
  SECTION("held out of sight") {
    kernel.references[kSocket.inode] = 2;
    CHECK(holders.find({&kSocket, 1}).by_inode.empty());
  }
  SECTION("two descriptors, which no single instant shows") {
    kernel.add(7, 4);
    kernel.references[kSocket.inode] = 2;
    CHECK(holders.find({&kSocket, 1}).by_inode.empty());
    CHECK(kernel.passes == 3);
  }
  SECTION("no record of who connected") {
    kernel.connectors.clear();
    CHECK(holders.find({&kSocket, 1}).by_inode.empty());
  }
  SECTION("more descriptors than may be looked at") {
    kernel.too_long = true;
    CHECK(holders.find({&kSocket, 1}).by_inode.empty());
  }
  SECTION("counts that move, at the second look") {
    kernel.shown.front().steady = false;
    (void)holders.changed(kSocket, before);
  }
  SECTION("what was not counted before") {
    SocketHolders uncounted = before;
    uncounted.proof = Proof::uncounted;
    (void)holders.changed(kSocket, uncounted);
  }
  CHECK(kernel.effort.gave_up());
  CHECK(kernel.full_passes == 0);
  CHECK(kernel.walks == 0);
  CHECK(kernel.slept.count() == 0);
}

TEST_CASE("several descriptors of one process count when two looks agree", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  kernel.add(7, 4);
  const SocketHolders who = kernel.look();
  CHECK(who.proof == Proof::complete);
  CHECK(pids(who) == std::vector<pid_t>{7});
  CHECK(kernel.passes == 2);
  CHECK(kernel.full_passes == 0);
}

TEST_CASE("a descriptor that moves does not stand for two references", "[identity]") {
  // 3 is closed after it was seen and 4 is made of it; one more reference is parked all the time.
  ScriptedKernel kernel;
  kernel.plain(7);
  kernel.shown.push_back({7, 4, 107});
  kernel.references[kSocket.inode] = 2;
  kernel.on_pass = [&](int n) {
    if (n >= 2) kernel.shown.resize(1);
  };
  const SocketHolders who = kernel.look();
  CHECK(who.proof == Proof::hidden);
  CHECK(who.account == "2 references: 1 descriptor, 1 held out of sight");
}

TEST_CASE("a shared table is one holder of references", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  SECTION("threads") {
    kernel.shown.push_back({7, 3, 107});
    CHECK(kernel.look().proof == Proof::complete);
    kernel.references[kSocket.inode] = 2;
    CHECK(kernel.look().proof == Proof::hidden);
  }
  SECTION("processes") {
    kernel.connectors.clear();
    kernel.add(8, 3);
    kernel.shown.back().table = 107;
    CHECK(kernel.look().proof == Proof::hidden);
    kernel.references[kSocket.inode] = 1;
    const SocketHolders who = kernel.look();
    CHECK(who.proof == Proof::complete);
    CHECK(pids(who) == std::vector<pid_t>{7, 8});
  }
}

TEST_CASE("what another process has is found by a pass over all", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  kernel.add(9, 3);  // forked, or copied with pidfd_getfd
  const SocketHolders who = kernel.look();
  CHECK(who.proof == Proof::complete);
  CHECK(pids(who) == std::vector<pid_t>{7, 9});
  CHECK(who.account == "2 references: 2 descriptors");
  CHECK(kernel.full_passes == 2);
}

TEST_CASE("a reference out of sight stays left over", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  ++kernel.references[kSocket.inode];  // parked, or registered with io_uring
  SocketHolders who = kernel.look();
  CHECK(who.proof == Proof::hidden);
  CHECK(pids(who) == std::vector<pid_t>{7});
  CHECK(who.account == "2 references: 1 descriptor, 1 held out of sight");
  CHECK(kernel.slept < microseconds{12'000});

  kernel.shown.clear();  // its own descriptor closed
  who = kernel.look();
  CHECK(who.proof == Proof::hidden);
  CHECK(who.holders.empty());
  CHECK(who.connector->task.pid == 7);
}

TEST_CASE("a waiting call is one reference, and not more", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  kernel.shown.front().waiting = 1;  // poll, select, or a blocked read with threads
  kernel.references[kSocket.inode] = 2;
  CHECK(kernel.look().proof == Proof::complete);
  CHECK(kernel.look().account == "2 references: 1 descriptor, 1 waiting call");
  CHECK(kernel.full_passes == 0);

  // Two descriptors of a table show the same calls.
  kernel.add(7, 4);
  kernel.shown.back().waiting = 1;
  CHECK(kernel.look().proof == Proof::complete);

  ++kernel.references[kSocket.inode];  // and one parked
  CHECK(kernel.look().proof == Proof::hidden);
  CHECK(kernel.look().account ==
        "4 references: 2 descriptors, 1 waiting call, 1 held out of sight");
}

TEST_CASE("waiting calls that one pass has no room to count are no hidden holders", "[identity]") {
  ScriptedKernel kernel;
  SECTION("in a pass over fewer sockets they are counted") {
    kernel.counts_waiting_of = 64;
    std::vector<FoundSocket> sockets;
    for (std::uint64_t inode = 5000; sockets.size() < 100; ++inode) {
      sockets.push_back({inode, 0});
      kernel.add(7, static_cast<int>(inode), inode);
      kernel.shown.back().waiting = 1;
      ++kernel.references[inode];
    }
    const auto scan = kernel.finder().find(sockets);
    for (const FoundSocket& socket : sockets)
      CHECK(scan.by_inode.at(socket.inode).proof == Proof::complete);
    CHECK(kernel.full_passes == 3);
  }
  SECTION("of one that is still not counted nobody is named") {
    kernel.plain(7);
    kernel.shown.front().waiting = 1;
    ++kernel.references[kSocket.inode];
    kernel.counts_waiting_of = 0;
    const SocketHolders who = kernel.look();
    CHECK(who.proof == Proof::moving);
    CHECK(who.account == "2 references: 1 descriptor, its waiting calls not counted");
    // Without anything left over it doesn't matter.
    --kernel.references[kSocket.inode];
    CHECK(kernel.look().proof == Proof::complete);
  }
}

TEST_CASE("more sockets than one pass looks for", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  kernel.shown.reserve(5000);
  std::vector<FoundSocket> sockets;
  for (std::uint64_t inode = 10'000; sockets.size() < 5000; ++inode) {
    sockets.push_back({inode, 99});
    kernel.add(7, static_cast<int>(inode), inode);
  }
  SECTION("of one process") {}
  SECTION("of nobody knows whom") { kernel.connectors.clear(); }
  auto holders = kernel.finder();
  const auto scan = holders.find(sockets);
  REQUIRE(scan.by_inode.size() == sockets.size());
  std::vector<HolderFinder::Seen> seen;
  std::size_t complete = 0;
  for (const FoundSocket& socket : sockets) {
    seen.push_back({socket, &scan.by_inode.at(socket.inode)});
    if (seen.back().who->proof == Proof::complete) ++complete;
  }
  CHECK(complete == sockets.size());
  const auto changes = holders.changed(seen);
  CHECK(std::none_of(changes.begin(), changes.end(),
                     [](const auto& one) { return one.has_value(); }));
}

TEST_CASE("counts that move are looked at until they stand still", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  SECTION("a call that just runs") {
    kernel.references[kSocket.inode] = 2;
    kernel.on_pass = [&](int n) { kernel.references[kSocket.inode] = n < 4 ? 2 : 1; };
    CHECK(kernel.look().proof == Proof::complete);
    CHECK(kernel.full_passes == 3);
  }
  SECTION("calls that begin and end") {
    kernel.shown.front().steady = false;
    kernel.on_pass = [&](int n) { kernel.shown.front().steady = n >= 2; };
    CHECK(kernel.look().proof == Proof::complete);
    CHECK(kernel.full_passes == 0);
  }
  SECTION("never") {
    kernel.on_pass = [&](int n) {
      kernel.references[kSocket.inode] = 2 + static_cast<unsigned>(n) % 2;
    };
    CHECK(kernel.look().proof == Proof::moving);
    kernel.on_pass = {};
    kernel.shown.front().steady = false;
    CHECK(kernel.look().proof == Proof::moving);
  }
  SECTION("more descriptors than references") {
    kernel.shown.push_back({7, 4, 107});
    CHECK(kernel.look().proof == Proof::moving);
  }
  CHECK(kernel.slept < microseconds{12'000});
}

TEST_CASE("a connection without a record is counted everywhere", "[identity]") {
  ScriptedKernel kernel;
  kernel.add(7, 3);
  SocketHolders who = kernel.look();
  CHECK(who.proof == Proof::complete);
  CHECK(who.connector_asked);
  CHECK_FALSE(who.connector);
  CHECK(kernel.full_passes == 1);

  kernel.record_broken = true;
  who = kernel.look();
  CHECK(who.proof == Proof::complete);
  CHECK_FALSE(who.connector_asked);
}

TEST_CASE("a holder without a number here can't be named", "[identity]") {
  ScriptedKernel kernel;
  kernel.add(7, 3);
  kernel.add(0, 5);
  kernel.connected_by(0);
  SocketHolders who = kernel.look();
  CHECK(who.proof == Proof::hidden);
  CHECK(pids(who) == std::vector<pid_t>{7});
  CHECK(who.account.find("another PID namespace") != std::string::npos);
  kernel.shown.erase(kernel.shown.begin());
  --kernel.references[kSocket.inode];
  who = kernel.look();
  CHECK(who.proof == Proof::hidden);
  CHECK(who.holders.empty());
}

TEST_CASE("one pass over all serves all sockets that need it", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  const std::vector<FoundSocket> sockets{kSocket, {4712, 0}, {4713, 0}};
  kernel.add(8, 3, 4712);
  kernel.add(9, 3, 4713);
  auto finder = kernel.finder();
  const auto scan = finder.find(sockets);
  CHECK(scan.by_inode.size() == 3);
  for (const auto& [inode, who] : scan.by_inode) CHECK(who.proof == Proof::complete);
  CHECK(kernel.full_passes == 1);
}

TEST_CASE("where the view fails the walk is asked, and nothing is proven", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  kernel.broken = true;
  auto finder = kernel.finder();
  const auto scan = finder.find({&kSocket, 1});
  const SocketHolders& who = scan.by_inode.at(kSocket.inode);
  CHECK(who.proof == Proof::uncounted);
  CHECK(pids(who) == std::vector<pid_t>{5});
  CHECK(who.connector->task.pid == 7);
  CHECK_FALSE(who.accepted_known);
  CHECK(scan.unreadable == 2);
  CHECK(who.account.find("no iterator") != std::string::npos);
  CHECK(finder.changed(kSocket, who) == "the walk says so");
}

TEST_CASE("a pass that tells too much is no reason to count nothing", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  kernel.too_long = true;
  const SocketHolders who = kernel.look();
  CHECK(who.proof == Proof::moving);
  CHECK(kernel.walks == 0);
}

TEST_CASE("the second look tells what changed", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  const SocketHolders who = kernel.look();
  auto finder = kernel.finder();
  CHECK_FALSE(finder.changed(kSocket, who));
  KernelTask& task = kernel.tasks[7];
  SECTION("the same, waiting now") {
    kernel.shown.front().waiting = 1;
    ++kernel.references[kSocket.inode];
    CHECK_FALSE(finder.changed(kSocket, who));
  }
  SECTION("exec of the same program") {
    ++task.executions;
    CHECK(finder.changed(kSocket, who) == "process 7 has executed a program since");
  }
  SECTION("a used number") {
    ++task.start_ns;
    CHECK(finder.changed(kSocket, who) == "process 7 is another process than before");
  }
  SECTION("closed") {
    kernel.shown.clear();
    CHECK(finder.changed(kSocket, who) == "process 7 let go of the socket");
  }
  SECTION("handed on") {
    kernel.add(8, 3);
    CHECK(finder.changed(kSocket, who) ==
          "the holders had all its references, and now: 2 references: 1 descriptor, 1 held out of "
          "sight");
  }
  SECTION("can't be looked at") {
    kernel.broken = true;
    CHECK(finder.changed(kSocket, who).has_value());
  }
  SECTION("a call that just runs") {
    kernel.references[kSocket.inode] = 2;
    kernel.passes = 0;
    kernel.on_pass = [&](int n) { kernel.references[kSocket.inode] = n < 3 ? 2 : 1; };
    CHECK_FALSE(finder.changed(kSocket, who));
  }
}

TEST_CASE("connections that were opened to a holder are told", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  const auto end = [](std::uint16_t port) {
    return net::Endpoint{net::IpAddress::v4({127, 0, 0, 1}), port};
  };
  kernel.others = {
      {1, 0, TCP_LISTEN, end(1080), {}},
      {2, 0, TCP_ESTABLISHED, end(1080), end(5000)},   // accepted
      {3, 55, TCP_ESTABLISHED, end(1080), end(5001)},  // accepted, asked for its cookie
      {4, 56, TCP_ESTABLISHED, end(5002), end(80)},    // its own
      {kSocket.inode, 99, TCP_ESTABLISHED, end(5003), end(3128)}};
  kernel.connectors[56] = {kernel.tasks[7], 0};
  SocketHolders who = kernel.look();
  REQUIRE(who.accepted.size() == 2);
  CHECK(who.accepted[0].inode == 2);
  CHECK(who.accepted[1].inode == 3);
  CHECK(who.accepted_known);
  CHECK(kernel.passes == 1);

  kernel.others_complete = false;
  CHECK_FALSE(kernel.look().accepted_known);
  kernel.others_complete = true;
  for (std::uint64_t i = 0; i < 20; ++i)
    kernel.others.push_back({100 + i, 0, TCP_ESTABLISHED, end(1080), end(6000)});
  who = kernel.look();
  CHECK(who.accepted.size() == 16);
  CHECK_FALSE(who.accepted_known);

  // Of holders found by the pass over all too.
  kernel.others.resize(3);
  kernel.connectors.erase(kSocket.cookie);
  who = kernel.look();
  CHECK(who.accepted.size() == 2);
  CHECK(who.accepted_known);
}

TEST_CASE("what a holder opened itself is asked for once", "[identity]") {
  ScriptedKernel kernel;
  kernel.plain(7);
  const auto end = [](std::uint16_t port) {
    return net::Endpoint{net::IpAddress::v4({127, 0, 0, 1}), port};
  };
  kernel.others = {{3, 55, TCP_ESTABLISHED, end(1080), end(5001)},  // accepted
                   {4, 56, TCP_ESTABLISHED, end(5002), end(80)}};   // its own
  kernel.connectors[56] = {kernel.tasks[7], 0};
  KernelHolders finder = kernel.finder();
  for (int look = 0; look < 2; ++look) {
    const HolderScan scan = finder.find({&kSocket, 1});
    const SocketHolders& who = scan.by_inode.at(kSocket.inode);
    REQUIRE(who.accepted.size() == 1);
    CHECK(who.accepted[0].inode == 3);
    CHECK(who.accepted_known);
  }
  CHECK(std::count(kernel.asked.begin(), kernel.asked.end(), 56) == 1);
  CHECK(std::count(kernel.asked.begin(), kernel.asked.end(), 55) == 2);
}

TEST_CASE("counts that contradict each other are no account", "[identity]") {
  SocketPass pass;
  pass.tasks = {{{7, 1, 1, {1, 0, 7}}, {}}, {{8, 1, 1, {1, 0, 7}}, {}}};
  pass.held = {{0, 7, 3, 4711, 107, 2, 0, true}, {1, 8, 3, 4711, 108, 2, 0, true}};
  CHECK(accounts_of(pass)[4711].complete());
  SECTION("of references") { pass.held[0].references = 3; }
  SECTION("of calls of a table") {
    pass.held[1].table = 107;
    pass.held[1].waiting = 1;
  }
  SECTION("of a process") {
    pass.tasks[1].task.pid = 7;
    ++pass.tasks[1].task.executions;
  }
  SECTION("of one descriptor's process") {
    pass.tasks[1].task.pid = 7;
    ++pass.tasks[1].task.executions;
    pass.held[1] = pass.held[0];
    pass.held[1].task = 1;
    pass.held[0].references = pass.held[1].references = 1;
  }
  SECTION("of a task that isn't told") { pass.held[1].task = 2; }
  CHECK_FALSE(accounts_of(pass)[4711].complete());
}

}  // namespace warder::identity
