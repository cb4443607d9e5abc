#include <catch2/catch_test_macros.hpp>

#include "identity/investigator.h"
#include "tests/unit/identity/investigated_host.h"

namespace warder::identity {

TEST_CASE("at once: the same answer, or none", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  host.prove(7);
  const Identity expected = host.look();
  const auto found = host.look_at_once();
  REQUIRE(found);
  CHECK_FALSE(difference(expected, *found));
  CHECK(found->assurance == Assurance::proven);
  CHECK(found->detail == expected.detail);

  host.searches = host.walks = 0;
  SECTION("no socket: it is not searched for again") {
    host.inodes.clear();
    CHECK_FALSE(host.look_at_once());
    CHECK(host.searches == 1);
  }
  SECTION("closed") {
    host.closed = true;
    CHECK_FALSE(host.look_at_once());
  }
  SECTION("facts that can't be read") {
    host.forbidden = true;
    CHECK_FALSE(host.look_at_once());
    CHECK(host.searches == 1);
  }
  SECTION("another program, while it is looked at") {
    host.on_vitals = [&](int) { host.processes[7].image.inode = 2; };
    CHECK_FALSE(host.look_at_once());
    CHECK(host.walks == 1);
  }
  SECTION("a relay: nobody looks for those behind it") {
    host.kernel[4711].accepted = {OtherSocket{1, 2, 1, {}, {}}};
    CHECK_FALSE(host.look_at_once());
    CHECK(host.walks == 1);
  }
  SECTION("a connector that is not the holder, of whom nothing is kept") {
    host.kernel[4711].connector->task.pid = 9;
    host.kernel[4711].connector->task.image.inode = 9;
    host.on_vitals = [&](int) { (void)host.effort.may_wait(); };
    CHECK_FALSE(host.look_at_once());
  }
  SECTION("a part that gave up, whatever it answered") {
    host.on_search = [&](int) { (void)host.effort.may_wait(); };
    CHECK_FALSE(host.look_at_once());
  }
  // And nothing of it stays.
  CHECK_FALSE(host.effort.at_once());
  host.on_search = nullptr;
}

TEST_CASE("at once: a confirmation reads each thing once", "[identity]") {
  InvestigatedHost host;
  host.add(7, "/usr/bin/curl", 1);
  host.prove(7);
  const Identity before = host.look();
  host.searches = host.walks = host.reads = 0;
  int looked_again = 0;
  host.on_vitals = [&](int) { ++looked_again; };
  SECTION("all as before") {
    const auto now = host.confirm_at_once();
    REQUIRE(now);
    CHECK_FALSE(difference(before, *now));
    CHECK(host.searches == 1);
    CHECK(host.walks == 1);
    CHECK(host.reads == 1);
    CHECK(looked_again == 0);
    // A first look does it twice.
    CHECK(host.look_at_once());
    CHECK(host.searches == 3);
    CHECK(looked_again == 1);
  }
  const auto differs = [&](const Identity& then) {
    const auto now = host.confirm_at_once();
    return now && difference(then, *now).has_value();
  };
  SECTION("another socket") {
    host.inodes = {4712};
    host.add(7, "/usr/bin/curl", 1, 4712);
    host.prove(7, 4712);
    CHECK(differs(before));
  }
  SECTION("another image") {
    host.processes[7].image.inode = 2;
    CHECK(differs(before));
  }
  SECTION("the same image once more, after an execve") {
    host.processes[7].executions = 3;
    Identity then = before;
    then.processes[0].executions = 2;
    CHECK(differs(then));
  }
  SECTION("one more holder") {
    host.add(8, "/usr/bin/curl", 1);
    host.prove(7);
    CHECK(differs(before));
  }
  SECTION("less is proven") {
    host.kernel[4711].proof = SocketHolders::Proof::hidden;
    CHECK(differs(before));
  }
  SECTION("no holder") {
    host.holders.clear();
    CHECK_FALSE(host.confirm_at_once());
  }
}

TEST_CASE("at once: many together, each by itself where one needs more", "[identity]") {
  InvestigatedHost host;
  host.inodes.clear();
  host.peers = {{5, 1}, {6, 2}, {7, 3}};
  host.add(7, "/usr/bin/curl", 1, 1);
  host.add(7, "/usr/bin/curl", 1, 2);
  host.add(8, "/usr/bin/ssh", 2, 3);
  for (const std::uint64_t inode : {1U, 2U}) host.prove(7, inode);
  host.prove(8, 3);
  SECTION("a program is looked at once for all its connections") {
    const auto found = host.look_at_once({5, 6, 7});
    REQUIRE(found.size() == 3);
    for (const auto& identity : found) REQUIRE(identity);
    CHECK(found[0]->inode == 1);
    CHECK(found[1]->inode == 2);
    CHECK(found[1]->processes.front().path == "/usr/bin/curl");
    CHECK(found[2]->processes.front().path == "/usr/bin/ssh");
    CHECK(host.walks == 1);
    CHECK(host.reads == 2);
  }
  SECTION("those that are confirmed once, the others twice all the same") {
    host.on_vitals = [&](int) { host.processes[8].image.inode = 9; };
    const auto found = host.look_at_once({5, 7, 6}, {5, 6});
    CHECK(found[0]);
    CHECK_FALSE(found[1]);
    CHECK(found[2]);
  }
  SECTION("but not what it was before an execve") {
    host.holders[2].front().kernel->task.executions = 2;
    const auto found = host.look_at_once({5, 6});
    CHECK(host.reads == 2);
  }
  SECTION("one whose owner is unknown") {
    const auto found = host.look_at_once({5, 9, 7});
    CHECK(found[0]);
    CHECK_FALSE(found[1]);
    CHECK(found[2]);
  }
  SECTION("a relay") {
    host.kernel[3].accepted = {OtherSocket{1, 2, 1, {}, {}}};
    const auto found = host.look_at_once({5, 7, 6});
    CHECK(found[0]);
    CHECK_FALSE(found[1]);
    CHECK(found[2]);
  }
  SECTION("one that another part gives up on") {
    // Of the first time for all, and then of the second one's.
    host.on_walk = [&](int walk) {
      if (walk == 1 || walk == 3) (void)host.effort.may_wait();
    };
    const auto found = host.look_at_once({5, 7, 6});
    CHECK(found[0]);
    CHECK_FALSE(found[1]);
    CHECK(found[2]);
    CHECK(host.walks == 4);
  }
  CHECK_FALSE(host.effort.at_once());
}

}  // namespace warder::identity
