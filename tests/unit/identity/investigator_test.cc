#include "identity/investigator.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>

#include "tests/unit/identity/investigated_host.h"

namespace warder::identity {
namespace {

// What procfs alone can't tell.
const std::vector<Cause> kProcfsOnly{Cause::connector_unknown, Cause::references_uncounted};

std::vector<Cause> with(std::vector<Cause> causes, Cause one) {
  causes.push_back(one);
  return causes;
}

}  // namespace

TEST_CASE("one holder is exact, and what can't be checked is said", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  const Identity identity = host.look();
  CHECK(identity.grade == Grade::exact);
  CHECK(identity.assurance == Assurance::observed);
  CHECK(identity.causes == kProcfsOnly);
  CHECK_FALSE(identity.reason);
  CHECK(identity.inode == 4711);
  CHECK(identity.scope->name() == "global");
  CHECK(*identity.binary() == "/usr/bin/curl");
  CHECK(identity.detail.find("not checked") != std::string::npos);
  CHECK(host.walks == 1);
  CHECK(host.searches == 2);
}

TEST_CASE("each step is told as it is taken", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  static_cast<void>(host.look());
  CHECK(host.steps ==
        std::vector<std::string>{
            "socket in global (procfs): seen",
            "connector of inode 4711: not recorded here",
            "holders of inode 4711: process 7; its references can't be counted",
            "facts of process 7: /usr/bin/curl",
            "second look: socket in global (procfs): seen",
            "second look: all as before",
            "conclusion: exact, observed because of connector_unknown, references_uncounted",
        });

  host.steps.clear();
  host.on_vitals = [&](int) { host.processes[7].image = {1, 2}; };
  static_cast<void>(host.look());
  const auto told = [&](const std::string& step) {
    return std::find(host.steps.begin(), host.steps.end(), step) != host.steps.end();
  };
  CHECK(told("second look: process 7 (/usr/bin/curl) became another program"));
  CHECK(told("attempt 2, from the start"));

  host.steps.clear();
  host.inodes.clear();
  static_cast<void>(host.look());
  CHECK(host.steps.back() == "conclusion: unresolved: socket_not_found");
}

TEST_CASE("holders of one and of several programs", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  host.add(8, "/usr/bin/curl", 1);
  CHECK(host.look().grade == Grade::shared);
  CHECK(host.look().binary() != nullptr);
  host.add(9, "/usr/bin/wget", 2);
  const Identity identity = host.look();
  CHECK(identity.grade == Grade::ambiguous);
  CHECK(identity.processes.size() == 3);
  CHECK(identity.binary() == nullptr);
}

TEST_CASE("two sockets are ambiguous with the holders of both", "[identity]") {
  InvestigatedHost host;
  host.inodes = {4711, 4712};
  host.add(7, "/usr/bin/curl", 1);
  host.add(8, "/usr/bin/curl", 1, 4712);
  Identity identity = host.look();
  CHECK(identity.grade == Grade::ambiguous);
  CHECK(identity.processes.size() == 2);
  CHECK(identity.binary() == nullptr);
  // Even where one process has both, or nobody is seen to have the other.
  host.holders[4712] = {{7, 7, {}}};
  CHECK(host.look().grade == Grade::ambiguous);
  CHECK(host.look().processes.size() == 1);
  host.holders.erase(4712);
  CHECK(host.look().grade == Grade::ambiguous);
}

TEST_CASE("a socket in no table is looked for twice", "[identity]") {
  InvestigatedHost host;
  host.inodes.clear();
  CHECK(host.look().reason == Reason::socket_not_found);
  CHECK(host.searches == 2);
  CHECK(host.walks == 0);
  host.add(7, "/usr/bin/curl", 1);
  host.searches = 0;
  host.on_search = [&](int n) {
    if (n == 2) host.inodes = {4711};
  };
  CHECK(host.look().grade == Grade::exact);
}

TEST_CASE("no walk for what nobody owns, or what can't be read", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  host.closed = true;
  CHECK(host.look().reason == Reason::client_gone);
  CHECK(host.searches == 1);
  host.closed = false;
  host.unreadable_table = true;
  CHECK(host.look().reason == Reason::table_unreadable);
  CHECK(host.walks == 0);
}

TEST_CASE("no holder seen: not found, or unknown", "[identity]") {
  InvestigatedHost host;
  CHECK(host.look().reason == Reason::owner_not_found);
  CHECK(host.walks == 2);
  host.unreadable = 3;
  host.lacking = "CAP_SYS_PTRACE is not effective";
  const Identity identity = host.look();
  CHECK(identity.reason == Reason::owner_unreadable);
  CHECK(identity.detail ==
        "global: seen; no holder was seen; 3 processes could not be looked into (CAP_SYS_PTRACE is "
        "not effective)");
}

TEST_CASE("processes that can't be looked into stay a cause", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  host.unreadable = 1;
  Identity identity = host.look();
  CHECK(identity.grade == Grade::exact);
  CHECK(identity.assurance == Assurance::observed);
  CHECK(identity.causes == with(kProcfsOnly, Cause::unreadable_processes));
  CHECK(identity.detail.find("1 process could not be looked into") != std::string::npos);

  host.forbidden = true;
  CHECK(host.look().reason == Reason::owner_unreadable);
}

TEST_CASE("a path that is not the image's is suspect", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  host.unreadable = 1;
  host.processes[7].binary.reset();
  Identity identity = host.look();
  CHECK(identity.grade == Grade::exact);
  CHECK(identity.assurance == Assurance::suspect);
  CHECK(identity.causes == std::vector<Cause>{Cause::alien_path, Cause::connector_unknown,
                                              Cause::references_uncounted,
                                              Cause::unreadable_processes});
  CHECK(identity.binary() == nullptr);
  host.processes[7].deleted = true;
  CHECK(host.look().causes.front() == Cause::image_replaced);
}

TEST_CASE("what changes while it is read is read once more", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  int times = 1;
  const auto change = [&](int walk) {
    if (walk > times) return;
    ++host.processes[7].image.inode;
  };
  SECTION("the image") { host.on_vitals = change; }
  SECTION("the start time") {
    host.on_vitals = [&](int walk) {
      if (walk <= times) ++host.processes[7].start_time;
    };
  }
  SECTION("the holder") {
    host.on_vitals = [&](int walk) {
      host.holders[4711] = {{7, walk <= times ? 0 : 7, {}}};
      host.on_walk = [&](int) { host.holders[4711] = {{7, 7, {}}}; };
    };
  }
  SECTION("the socket") {
    host.on_search = [&](int n) { host.inodes = {n <= 2 * times ? 4711U + unsigned(n) : 4711U}; };
    for (std::uint64_t inode = 4711; inode < 4720; ++inode) host.holders[inode] = {{7, 7, {}}};
  }
  Identity identity = host.look();
  CHECK(identity.grade == Grade::exact);
  CHECK(host.walks == 2);

  host.walks = host.searches = 0;
  times = 2;
  identity = host.look();
  CHECK(identity.reason == Reason::raced);
  CHECK(identity.grade == Grade::unresolved);
  CHECK(identity.binary() == nullptr);
  CHECK(host.walks == 2);
}

TEST_CASE("a holder that ends while it is looked at", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  host.on_walk = [&](int) { host.processes.erase(7); };
  CHECK(host.look().reason == Reason::process_gone);

  // What is left of it at the second look doesn't hide why.
  host.walks = 0;
  host.on_search = [&](int n) {
    if (n > 3) host.inodes.clear();
  };
  host.add(7, "/usr/bin/curl", 1);
  CHECK(host.look().reason == Reason::process_gone);
}

TEST_CASE("one of several holders that ends is left out at the second look", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  host.add(8, "/usr/bin/curl", 1);
  host.on_walk = [&](int walk) {
    host.processes.erase(8);
    if (walk == 2) host.holders[4711] = {{7, 7, {}}};
  };
  const Identity identity = host.look();
  CHECK(identity.grade == Grade::exact);
  CHECK(identity.processes.front().pid == 7);
}

TEST_CASE("the process that connected, and nobody else, is proven", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  host.prove(7);
  Identity identity = host.look();
  CHECK(identity.grade == Grade::exact);
  CHECK(identity.assurance == Assurance::proven);
  CHECK(identity.causes.empty());
  CHECK(identity.processes.front().roles == std::vector<Role>{Role::connector, Role::holder});
  CHECK_FALSE(identity.relays);
  CHECK(identity.via_complete);
  CHECK(identity.detail.find("not checked") == std::string::npos);

  // Processes that can't be looked into don't matter then.
  host.unreadable = 3;
  CHECK(host.look().assurance == Assurance::proven);
  host.kernel[4711].proof = SocketHolders::Proof::hidden;
  identity = host.look();
  CHECK(identity.assurance == Assurance::suspect);
  CHECK(identity.causes == std::vector<Cause>{Cause::hidden_holder, Cause::unreadable_processes});
  CHECK(identity.binary() == nullptr);
}

TEST_CASE("another program now than the one that connected", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  host.prove(7);
  auto& connector = host.kernel[4711].connector->task;
  SECTION("the same process has executed it") {
    connector.image.inode = 2;
    const Identity identity = host.look();
    CHECK(identity.grade == Grade::ambiguous);
    CHECK(identity.causes == std::vector<Cause>{Cause::image_changed});
    CHECK(identity.assurance == Assurance::suspect);
    CHECK(identity.binary() == nullptr);
  }
  SECTION("it runs the same again, whatever was in between") {
    --connector.executions;
    const Identity identity = host.look();
    CHECK(identity.grade == Grade::exact);
    CHECK(identity.causes == std::vector<Cause>{Cause::image_changed});
    CHECK(identity.assurance == Assurance::suspect);
    CHECK(identity.binary() == nullptr);
  }
  SECTION("a process that let go of it") {
    host.add(8, "/tmp/attack", 2, 1);
    connector = host.task(8);
    const Identity identity = host.look();
    CHECK(identity.grade == Grade::ambiguous);
    CHECK(identity.binary() == nullptr);
    REQUIRE(identity.processes.size() == 2);
    CHECK(identity.processes[1].path == "/tmp/attack");
    CHECK(identity.processes[1].roles == std::vector<Role>{Role::connector});
  }
  SECTION("a process that is gone, and its number another's") {
    host.add(8, "/usr/bin/innocent", 3, 1);
    connector = host.task(8);
    connector.image.inode = 2;
    connector.start_ns += 1'000'000'000;
    const Identity identity = host.look();
    CHECK(identity.grade == Grade::ambiguous);
    REQUIRE(identity.processes.size() == 2);
    CHECK(identity.processes[1].path.empty());
  }
  SECTION("a parent of the same program") {
    connector.pid = 6;
    const Identity identity = host.look();
    CHECK(identity.grade == Grade::exact);
    CHECK(identity.assurance == Assurance::proven);
    CHECK(identity.processes.front().roles == std::vector<Role>{Role::holder});
  }
  SECTION("no image at all is not the same image") {
    connector.image = {};
    host.holders[4711].front().kernel->task.image = {};
    CHECK(host.look().grade == Grade::ambiguous);
  }
  SECTION("nothing to compare with") {
    host.holders[4711].front().kernel.reset();
    host.kernel[4711].proof = SocketHolders::Proof::uncounted;
    const Identity identity = host.look();
    CHECK(identity.grade == Grade::exact);
    CHECK(identity.causes == kProcfsOnly);
    CHECK(identity.detail.find("still runs the same program") != std::string::npos);
  }
}

TEST_CASE("a socket that nothing shows has a hidden holder", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  host.prove(7);
  host.holders.clear();
  host.kernel[4711].proof = SocketHolders::Proof::hidden;
  host.kernel[4711].account = "no descriptor";
  Identity identity = host.look();
  CHECK(identity.reason == Reason::owner_not_found);
  CHECK(identity.causes == std::vector<Cause>{Cause::hidden_holder});
  CHECK(identity.assurance == Assurance::suspect);
  CHECK(identity.detail == "global: seen; no descriptor; connected by process 7 (/usr/bin/curl)");
  host.kernel[4711].connector->task.start_ns = 5;
  CHECK(host.look().detail ==
        "global: seen; no descriptor; connected by process 7, which has ended");
  host.kernel[4711].connector->task.pid = 0;
  CHECK(host.look().detail ==
        "global: seen; no descriptor; connected by a process in another PID namespace");
  // Counts that never stand still are no proof of it.
  host.kernel[4711].proof = SocketHolders::Proof::moving;
  identity = host.look();
  CHECK(identity.reason == Reason::raced);
  CHECK(identity.causes.empty());
}

TEST_CASE("programs behind a relay", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/socat", 1);
  host.prove(7);
  const auto end = [](std::uint16_t port) {
    return net::Endpoint{net::IpAddress::v4({127, 0, 0, 1}), port};
  };
  host.kernel[4711].accepted = {{50, 0, 1, end(1080), end(5000)}};
  host.accepted_at[1080] = 50;
  host.peers[5000] = 51;
  host.add(8, "/usr/bin/curl", 2, 51);
  host.prove(8, 51);
  Identity identity = host.look();
  CHECK(identity.grade == Grade::exact);
  CHECK(identity.relays);
  CHECK(identity.via_complete);
  REQUIRE(identity.via.size() == 1);
  CHECK(identity.via.front().pid == 8);
  CHECK(*identity.via.front().binary == "/usr/bin/curl");

  SECTION("from elsewhere") { host.peers.clear(); }
  SECTION("perhaps, in another namespace than the relay's") { host.accepted_at.clear(); }
  SECTION("hidden") { host.kernel[51].proof = SocketHolders::Proof::hidden; }
  SECTION("more than are told") { host.kernel[4711].accepted_known = false; }
  SECTION("a relay too") { host.kernel[51].accepted = {{52, 0, 1, end(1081), end(5001)}}; }
  SECTION("opened by another") { host.kernel[51].connector->task.start_ns = 1; }
  SECTION("gone") { host.processes.erase(8); }
  identity = host.look();
  CHECK(identity.relays);
  CHECK_FALSE(identity.via_complete);
  CHECK(identity.grade == Grade::exact);
}

TEST_CASE("more programs behind a relay than are told", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/socat", 1);
  host.prove(7);
  const net::IpAddress local = net::IpAddress::v4({127, 0, 0, 1});
  host.kernel[4711].accepted = {{50, 0, 1, {local, 1080}, {local, 5000}}};
  host.accepted_at[1080] = 50;
  host.peers[5000] = 51;
  for (pid_t pid = 100; pid < 165; ++pid) host.add(pid, "/usr/bin/curl", 2, 51);
  host.prove(100, 51);
  Identity identity = host.look();
  CHECK(identity.via.size() == 64);
  CHECK_FALSE(identity.via_complete);
  host.processes.erase(164);
  host.holders[51].pop_back();
  identity = host.look();
  CHECK(identity.via.size() == 64);
  CHECK(identity.via_complete);
}

TEST_CASE("a process that talks to itself is no relay", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/python3", 1);
  host.prove(7);
  host.kernel[4711].accepted = {{50, 0, 1, {{}, 1080}, {net::IpAddress::v4({127, 0, 0, 1}), 5000}}};
  host.accepted_at[1080] = 50;
  host.peers[5000] = 51;
  host.holders[51] = {{7, 7, {}}};
  host.prove(7, 51);
  const Identity identity = host.look();
  CHECK_FALSE(identity.relays);
  CHECK(identity.via_complete);
}

}  // namespace warder::identity
