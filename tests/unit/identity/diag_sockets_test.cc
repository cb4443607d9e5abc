#include "identity/diag_sockets.h"

#include <fcntl.h>
#include <netinet/tcp.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <set>

#include "identity/proc_fs.h"
#include "tests/support/proc_tree.h"

namespace warder::identity {
namespace {

using Kind = ScopeFinding::Kind;

net::Endpoint end(std::string_view text) { return *net::Endpoint::parse(text); }

// A namespace that says what the test has written down.
class ScriptedView final : public NamespaceView {
 public:
  std::vector<DiagSocket> sockets;
  std::optional<Error> broken;
  std::optional<SocketEnds> tracked;
  std::optional<Error> untrackable;
  std::vector<SocketEnds> asked;
  int conntrack_asked = 0;
  SockDiag::Bound bound = SockDiag::Bound::seen;

  Result<std::vector<DiagSocket>> find(std::span<const SocketEnds> wanted,
                                       SockDiag::Bound how) override {
    bound = how;
    asked.insert(asked.end(), wanted.begin(), wanted.end());
    if (broken) return fail(*broken);
    std::vector<DiagSocket> found;
    for (const DiagSocket& socket : sockets)
      if (std::find(wanted.begin(), wanted.end(), SocketEnds{socket.local, socket.remote}) !=
          wanted.end())
        found.push_back(socket);
    return found;
  }
  Result<std::optional<SocketEnds>> dialled(const net::Endpoint& /*proxy*/,
                                            const net::Endpoint& /*client*/) override {
    ++conntrack_asked;
    if (untrackable) return fail(*untrackable);
    return tracked;
  }
  void add(std::string_view local, std::string_view remote, std::uint64_t inode,
           unsigned state = TCP_ESTABLISHED) {
    sockets.push_back({end(local), end(remote), state, inode, inode + 1000, 0, 0});
  }
};

class ScriptedViews final : public NamespaceViews {
 public:
  std::map<std::uint64_t, ScriptedView> views;
  std::optional<Error> closed_door;  // of every namespace but our own, which is number 1
  std::vector<std::uint64_t> dropped;
  std::set<std::uint64_t> kept;

  Result<NamespaceView*> view(const Place& place) override {
    if (closed_door && !place.ours) return fail(*closed_door);
    return &views[*place.network_namespace];
  }
  void drop(const Place& place) override { dropped.push_back(*place.network_namespace); }
  void keep_only(std::span<const Place> places) override {
    kept.clear();
    for (const Place& place : places)
      if (place.directory >= 0 && place.network_namespace) kept.insert(*place.network_namespace);
  }
};

class Addresses final : public LocalAddresses {
 public:
  std::set<std::string> local;
  Result<bool> contains(const net::IpAddress& address) override {
    return local.contains(address.text());
  }
};

constexpr auto kClient = "10.200.0.2:43210";
constexpr auto kProxy = "10.200.0.1:3128";

// A sandbox 469 in namespace 2, and our own, 1.
struct Asked {
  testing::ProcTree tree;
  Addresses addresses;
  std::vector<net::Endpoint> aliases;
  net::UniqueFd root;
  std::vector<Sandbox> sandboxes;
  ScriptedViews views;
  std::optional<NamespaceScan> scan;
  Effort effort;
  std::unique_ptr<DiagSockets> finder;

  Asked() {
    tree.process(469, 1, 100, "/usr/bin/curl");
    tree.link("469/ns/net", "net:[2]");
    tree.link("self/ns/net", "net:[1]");
    tree.tables("469/net", "");
    tree.tables("net", "");
    root = std::move(*open_directory(AT_FDCWD, tree.root()));
    sandboxes.push_back(std::move(*Sandbox::open(root.get(), 469)));
  }
  void discover(NamespaceScan::Options options = {true, std::chrono::milliseconds(0), 4096}) {
    scan.emplace(root.get(), options);
  }
  Sighting find(Connection wanted = {end(kClient), end(kProxy), {}}) {
    if (!finder)
      finder = std::make_unique<DiagSockets>(root.get(), sandboxes, aliases, addresses, views,
                                             scan ? &*scan : nullptr, &effort);
    return finder->find({&wanted, 1}).front();
  }
  void add_process(int pid, int network_namespace) const {
    tree.process(pid, 1, 100, "/usr/bin/curl");
    tree.link(std::to_string(pid) + "/ns/net", "net:[" + std::to_string(network_namespace) + "]");
  }
};

// A row of /proc/net/tcp for the client's connection.
std::string client_row(std::uint64_t inode, std::string_view state = "01") {
  return "   0: 0200C80A:A8CA 0100C80A:0C38 " + std::string(state) +
         " 00000000:00000000 00:00000000 00000000  1000        0 " + std::to_string(inode) +
         " 1 0000000000000000 20 4 30 10 -1\n";
}

}  // namespace

TEST_CASE("each scope is asked by sock_diag, and gives the cookie", "[identity]") {
  Asked test;
  test.views.views[2].add(kClient, kProxy, 4711);
  Sighting sighting = test.find();
  CHECK(text(sighting) == "pid:469: inode 4711; global: no such socket");
  CHECK(judge(sighting).sockets == std::vector<FoundSocket>{{4711, 5711}});
  CHECK(judge(sighting).method == "sock_diag");
  test.views.views[1].add(kClient, kProxy, 4700);
  CHECK(judge(test.find()).sockets.size() == 2);
}

TEST_CASE("at once the known scopes are asked, and nothing else is done", "[identity]") {
  Asked test;
  test.views.views[2].add(kClient, kProxy, 4711);
  test.views.kept = {7};
  const Effort::AtOnce at_once(test.effort);
  CHECK(judge(test.find()).sockets == std::vector<FoundSocket>{{4711, 5711}});
  CHECK(test.views.views[2].bound == SockDiag::Bound::seen_at_once);
  CHECK_FALSE(test.effort.gave_up());
  CHECK(test.views.kept == std::set<std::uint64_t>{7});

  SECTION("no table is read") {
    test.tree.tables("469/net", client_row(4711));
    test.views.closed_door = Error{Errc::not_permitted, EPERM, "setns"};
    CHECK(judge(test.find()).sockets.empty());
  }
  SECTION("a view that gives no answer is kept") {
    test.views.views[2].broken = Error{Errc::cancelled, 0, "the interfaces are not known"};
    CHECK(judge(test.find()).sockets.empty());
  }
  SECTION("connection tracking is not asked") {
    test.views.views[2].sockets.clear();
    CHECK(judge(test.find()).sockets.empty());
    CHECK(test.views.views[2].conntrack_asked == 0);
  }
  SECTION("not many scopes") {
    test.sandboxes.reserve(64);
    while (test.sandboxes.size() < 40)
      test.sandboxes.push_back(std::move(*Sandbox::open(test.root.get(), 469)));
    CHECK(judge(test.find()).sockets.empty());
  }
  CHECK(test.effort.gave_up());
  CHECK(test.views.dropped.empty());
}

TEST_CASE("asked: every address that the client may have dialled", "[identity]") {
  Asked test;
  test.aliases = {end("192.0.2.7:443"), end("[2001:db8::1]:443"), end(kProxy)};
  Connection wanted{end("[::ffff:10.200.0.2]:43210"), end("[::ffff:10.200.0.1]:3128"),
                    end("192.0.2.8:80")};
  CHECK(judge(test.find(wanted)).sockets.empty());
  const std::vector<SocketEnds> ends{{end(kClient), end(kProxy)},
                                     {end(kClient), end("192.0.2.8:80")},
                                     {end(kClient), end("192.0.2.7:443")}};
  CHECK(test.views.views[1].asked == ends);
  CHECK(test.views.views[2].asked == ends);
}

TEST_CASE("asked by sock_diag, a closed socket ends the search too", "[identity]") {
  Asked test;
  test.views.views[2].add(kClient, kProxy, 0, TCP_TIME_WAIT);
  test.views.views[1].add(kClient, kProxy, 4700);
  const Sighting sighting = test.find();
  CHECK(text(sighting) == "pid:469: inode 0: closed by its owner");
  CHECK(judge(sighting).closed);
  CHECK(test.views.views[1].asked.empty());
}

TEST_CASE("a scope that can't be entered is read from its tables, and says why", "[identity]") {
  Asked test;
  test.views.closed_door = from_errno(EPERM, "setns");
  test.tree.tables("469/net", client_row(4711));
  const Sighting sighting = test.find();
  CHECK(text(sighting) ==
        "pid:469: inode 4711 (not by sock_diag: Operation not permitted); global: no such socket");
  CHECK(judge(sighting).method == "procfs");
  CHECK(sighting[1].method == "sock_diag");
}

TEST_CASE("a view that gives no answer is given up, and the tables are read", "[identity]") {
  Asked test;
  test.views.views[2].broken = Error{Errc::timed_out, 0, "netlink: no answer"};
  test.tree.tables("469/net", client_row(4711));
  CHECK(text(test.find()) ==
        "pid:469: inode 4711 (not by sock_diag: netlink: no answer); global: no such socket");
  CHECK(test.views.dropped == std::vector<std::uint64_t>{2});
  test.tree.remove("469/net");
  CHECK(judge(test.find()).unreadable);
}

TEST_CASE("who is still connecting hides nobody and is nobody's client", "[identity]") {
  Asked test;
  test.views.views[2].add(kClient, kProxy, 4711, TCP_SYN_SENT);
  test.tree.tables("469/net", client_row(4711, "02") + client_row(4712));
  const Sighting sighting = test.find();
  CHECK(judge(sighting).sockets == std::vector<FoundSocket>{{4712, 0}});
  CHECK(sighting[0].method == "procfs");
  test.tree.tables("469/net", client_row(4711, "02"));
  CHECK(judge(test.find()).sockets.empty());
}

TEST_CASE("an address of our own is asked of nobody else", "[identity]") {
  Asked test;
  test.discover();
  test.add_process(500, 5);
  test.addresses.local.insert("10.200.0.2");
  for (const std::uint64_t space : {2U, 5U}) {
    test.views.views[space].add(kClient, kProxy, 4711);
    test.views.views[space].tracked = SocketEnds{end(kClient), end("192.0.2.7:443")};
    test.views.views[space].add(kClient, "192.0.2.7:443", 4712);
  }
  const Sighting sighting = test.find();
  CHECK(sighting[0].kind == Kind::skipped);
  CHECK(judge(sighting).sockets.empty());
  CHECK(test.scan->known().empty());
  for (const std::uint64_t space : {2U, 5U}) {
    CHECK(test.views.views[space].asked.empty());
    CHECK(test.views.views[space].conntrack_asked == 0);
  }
}

TEST_CASE("sockets bound to an interface are looked for where they can be", "[identity]") {
  Asked test;
  (void)test.find();
  CHECK(test.views.views[2].bound == SockDiag::Bound::seen);
  CHECK(test.views.views[1].bound == SockDiag::Bound::ignored);
  test.addresses.local.insert("10.200.0.2");
  (void)test.find();
  CHECK(test.views.views[1].bound == SockDiag::Bound::seen);
}

TEST_CASE("a sandbox that went into another namespace is asked there", "[identity]") {
  Asked test;
  test.views.views[2].add(kClient, kProxy, 4711);
  CHECK(judge(test.find()).first_inode == 4711);
  CHECK(test.views.kept == std::set<std::uint64_t>{1, 2});
  test.tree.link("469/ns/net", "net:[3]");
  test.views.views[3].add(kClient, kProxy, 4712);
  CHECK(judge(test.find()).first_inode == 4712);
  CHECK(test.views.kept == std::set<std::uint64_t>{1, 3});
  test.tree.remove("469/ns/net");
  test.tree.remove("469/stat");
  CHECK(text(test.find()) == "pid:469: the process has ended; global: no such socket");
  CHECK(test.views.kept == std::set<std::uint64_t>{1});
}

TEST_CASE("connection tracking knows what was dialled", "[identity]") {
  Asked test;
  ScriptedView& box = test.views.views[2];
  box.tracked = SocketEnds{end(kClient), end("10.96.0.10:80")};
  SECTION("the socket is there") {
    box.add(kClient, "10.96.0.10:80", 4711);
    const Sighting sighting = test.find();
    CHECK(text(sighting) ==
          "pid:469: inode 4711 (by connection tracking: 10.200.0.2:43210 dialled 10.96.0.10:80); "
          "global: no such socket");
    CHECK(judge(sighting).sockets == std::vector<FoundSocket>{{4711, 5711}});
    CHECK_FALSE(judge(sighting).translated);
  }
  SECTION("it was closed") {
    box.add(kClient, "10.96.0.10:80", 0);
    CHECK(judge(test.find()).closed);
  }
  SECTION("there is none") {
    const Sighting sighting = test.find();
    CHECK(judge(sighting).translated);
    CHECK(sighting[0].kind == Kind::absent);
    CHECK(sighting[0].outcome ==
          "no such socket, though connection tracking knows that 10.200.0.2:43210 dialled "
          "10.96.0.10:80");
  }
  SECTION("nothing was translated") {
    box.tracked = SocketEnds{end(kClient), end(kProxy)};
    const Sighting sighting = test.find();
    CHECK_FALSE(judge(sighting).translated);
    CHECK(sighting[0].outcome == "no such socket");
  }
  SECTION("it can't be asked") {
    box.untrackable = from_errno(EPERM, "netlink");
    CHECK(test.find()[0].outcome ==
          "no such socket; connection tracking gave no answer: Operation not permitted");
  }
  SECTION("somebody has the socket without it") {
    box.add(kClient, "10.96.0.10:80", 4711);
    test.views.views[1].add(kClient, kProxy, 4700);
    CHECK(judge(test.find()).sockets == std::vector<FoundSocket>{{4700, 5700}});
    CHECK(box.conntrack_asked == 0);
  }
}

TEST_CASE("namespaces of other processes are discovered on a miss, each once", "[identity]") {
  Asked test;
  test.discover();
  test.add_process(470, 2);  // the sandbox's
  test.add_process(471, 1);  // ours
  test.add_process(500, 5);
  test.add_process(501, 5);
  test.views.views[1].add(kClient, kProxy, 4700);
  CHECK(text(test.find()) == "pid:469: no such socket; global: inode 4700");
  CHECK(test.scan->known().empty());

  test.views.views[1].sockets.clear();
  test.views.views[5].add(kClient, kProxy, 4711);
  const Sighting sighting = test.find();
  CHECK(text(sighting) == "pid:469: no such socket; global: no such socket; netns:5: inode 4711");
  REQUIRE(sighting.size() == 3);
  CHECK(sighting[2].scope.kind == Scope::Kind::discovered);
  CHECK((sighting[2].scope.pid == 500 || sighting[2].scope.pid == 501));
  CHECK(test.views.kept == std::set<std::uint64_t>{1, 2, 5});

  // Known ones are asked although another has the socket: then it is nobody's.
  test.views.views[2].add(kClient, kProxy, 4712);
  CHECK(judge(test.find()).sockets.size() == 2);
}

TEST_CASE("a discovered namespace that has ended is let go of", "[identity]") {
  Asked test;
  test.discover();
  test.add_process(500, 5);
  test.views.views[5].add(kClient, kProxy, 4711);
  CHECK(judge(test.find()).first_inode == 4711);
  for (const char* const path : {"500/ns/net", "500/stat", "500"}) test.tree.remove(path);
  test.views.views[5].sockets.clear();
  test.add_process(600, 6);
  CHECK(text(test.find()) ==
        "pid:469: no such socket; global: no such socket; discovered: no such socket (and the same "
        "of 1 others)");
  CHECK(test.views.kept == std::set<std::uint64_t>{1, 2, 6});
}

TEST_CASE("how often and how many namespaces are looked for is limited", "[identity]") {
  Asked test;
  SECTION("once in a while") {
    test.discover({true, std::chrono::hours(1), 4096});
    CHECK(text(test.find()) == "pid:469: no such socket; global: no such socket");
    test.add_process(500, 5);
    const Sighting sighting = test.find();
    REQUIRE(sighting.size() == 3);
    CHECK(sighting.back().scope.name() == "discovered");
    CHECK(sighting.back().outcome.starts_with(
        "none; not looked for new network namespaces: that was done "));
  }
  SECTION("no more than so many") {
    test.discover({true, std::chrono::milliseconds(0), 3});
    for (int i = 0; i < 5; ++i) test.add_process(500 + i, 5 + i);
    CHECK(text(test.find()).find("more than 3 network namespaces") != std::string::npos);
    CHECK(test.scan->known().size() == 3);
  }
  SECTION("none whose owner can't be told") {
    test.discover({false, std::chrono::milliseconds(0), 4096});
    test.add_process(500, 5);
    CHECK(test.find().size() == 2);
  }
}

}  // namespace warder::identity
