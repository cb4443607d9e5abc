#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "identity/bpf/bpf_view.h"
#include "identity/kernel_holders.h"
#include "identity/proc_holders.h"
#include "tests/component/identity/client.h"

namespace warder::identity {
namespace {

using Proof = SocketHolders::Proof;

// Real programs, the real kernel.
class CountedReferencesTest {
 public:
  CountedReferencesTest() {
    for (const Ability& ability : opened_.abilities) {
      INFO(ability.name << ": " << ability.detail);
      REQUIRE(ability.available);
    }
    (void)gate_.let_in(client_);
    std::istringstream words(client_.tell("socket"));
    std::string ok;
    words >> ok >> socket_.inode >> socket_.cookie >> descriptor_;
    REQUIRE(ok == "ok");
  }

  SocketHolders look() {
    const HolderScan scan = holders_.find({&socket_, 1});
    REQUIRE(scan.by_inode.contains(socket_.inode));
    const SocketHolders& who = scan.by_inode.at(socket_.inode);
    UNSCOPED_INFO(who.account);
    CHECK(scan.unreadable == 0);
    REQUIRE(who.connector);
    CHECK(who.connector->task.pid == client_.pid());
    return who;
  }
  void check_only_client(const std::string& account) {
    const SocketHolders who = look();
    CHECK(who.proof == Proof::complete);
    CHECK(who.account == account);
    REQUIRE(who.holders.size() == 1);
    CHECK(who.holders.front().pid == client_.pid());
    CHECK_FALSE(holders_.changed(socket_, who));
  }
  void check_hidden(const std::string& account) {
    const SocketHolders who = look();
    CHECK(who.proof == Proof::hidden);
    CHECK(who.account == account);
  }
  // Until a thread of that name sleeps in the socket's code.
  void wait_until_waiting(const std::string& name) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    const std::string tasks = "/proc/" + std::to_string(client_.pid()) + "/task";
    while (std::chrono::steady_clock::now() < end) {
      for (const auto& thread : std::filesystem::directory_iterator(tasks)) {
        std::string comm, stack;
        std::getline(std::ifstream(thread.path() / "comm"), comm);
        std::getline(std::ifstream(thread.path() / "wchan"), stack);
        if (comm.starts_with(name) && stack == "wait_woken") return;
      }
      ::sched_yield();
    }
    FAIL("no worker waits");
  }
  // Until some thread of the client waits in that system call.
  void wait_until_in(int call) {
    const std::string wanted = std::to_string(call) + " ";
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    const std::string tasks = "/proc/" + std::to_string(client_.pid()) + "/task";
    while (std::chrono::steady_clock::now() < end) {
      for (const auto& thread : std::filesystem::directory_iterator(tasks)) {
        std::string text;
        std::getline(std::ifstream(thread.path() / "syscall"), text);
        if (text.starts_with(wanted)) return;
      }
      ::sched_yield();
    }
    FAIL("the client does not wait");
  }

 protected:
  net::UniqueFd proc_{::open("/proc", O_PATH | O_CLOEXEC)};
  BpfView opened_ = open_bpf_view(proc_.get());
  ProcHolders walk_{proc_.get()};
  KernelHolders holders_{*opened_.view, walk_,
                         [](std::chrono::microseconds time) { std::this_thread::sleep_for(time); }};
  testing::Client client_{testing::kClientProgram};
  testing::Gate gate_;
  FoundSocket socket_;
  int descriptor_ = -1;
};

struct Call {
  std::string name;
  int number;
};

}  // namespace

TEST_CASE_METHOD(CountedReferencesTest, "the descriptors of one process", "[identity][bpf]") {
  check_only_client("1 reference: 1 descriptor");
  REQUIRE(client_.tell("dup") == "ok");
  check_only_client("2 references: 2 descriptors");
}

TEST_CASE_METHOD(CountedReferencesTest, "a child has it too", "[identity][bpf]") {
  const SocketHolders before = look();
  REQUIRE(client_.tell("fork").starts_with("ok "));
  CHECK(holders_.changed(socket_, before).value().find("1 held out of sight") != std::string::npos);
  const SocketHolders who = look();
  CHECK(who.proof == Proof::complete);
  CHECK(who.holders.size() == 2);
  CHECK_FALSE(holders_.changed(socket_, who));
}

TEST_CASE_METHOD(CountedReferencesTest, "another process copies it with pidfd_getfd",
                 "[identity][bpf]") {
  testing::Client thief(testing::kClientProgram);
  REQUIRE(thief.tell("take " + std::to_string(client_.pid()) + " " + std::to_string(descriptor_)) ==
          "ok");
  const SocketHolders who = look();
  CHECK(who.proof == Proof::complete);
  REQUIRE(who.holders.size() == 2);
  CHECK((who.holders[0].pid == thief.pid() || who.holders[1].pid == thief.pid()));
}

TEST_CASE_METHOD(CountedReferencesTest, "a descriptor on its way", "[identity][bpf]") {
  SECTION("and one in the table") {
    REQUIRE(client_.tell("park-copy") == "ok");
    check_hidden("2 references: 1 descriptor, 1 held out of sight");
  }
  SECTION("and none") {
    REQUIRE(client_.tell("park") == "ok");
    const SocketHolders who = look();
    CHECK(who.proof == Proof::hidden);
    CHECK(who.holders.empty());
  }
}

TEST_CASE_METHOD(CountedReferencesTest, "registered with io_uring", "[identity][bpf]") {
  SECTION("and a descriptor left") {
    REQUIRE(client_.tell("uring") == "ok");
    check_hidden("2 references: 1 descriptor, 1 held out of sight");
  }
  SECTION("and none") {
    REQUIRE(client_.tell("uring") == "ok");
    REQUIRE(client_.tell("close") == "ok");
    CHECK(look().proof == Proof::hidden);
    CHECK(look().holders.empty());
  }
  SECTION("whose worker waits in the same queue as threads do") {
    REQUIRE(client_.tell("uring-read") == "ok");
    wait_until_waiting("iou-wrk-");
    check_hidden("2 references: 1 descriptor, 1 held out of sight");
    REQUIRE(client_.tell("thread") == "ok");
    check_hidden("2 references: 1 descriptor, 1 held out of sight");
  }
}

TEST_CASE_METHOD(CountedReferencesTest, "a call that waits", "[identity][bpf]") {
  const bool threads = GENERATE(false, true);
  const Call call =
      GENERATE(Call{"ppoll", SYS_ppoll}, Call{"pselect", SYS_pselect6}, Call{"recv", SYS_recvfrom});
  CAPTURE(call.name, threads);
  if (threads) REQUIRE(client_.tell("thread") == "ok");
  REQUIRE(client_.tell("wait " + call.name) == "ok");
  wait_until_in(call.number);
  // A blocked read takes a reference only where threads share the table (fs/file.c, fdget).
  check_only_client(call.name == "recv" && !threads ? "1 reference: 1 descriptor"
                                                    : "2 references: 1 descriptor, 1 waiting call");
}

TEST_CASE_METHOD(CountedReferencesTest, "a waiting call does not hide a parked descriptor",
                 "[identity][bpf]") {
  const Call call =
      GENERATE(Call{"ppoll", SYS_ppoll}, Call{"pselect", SYS_pselect6}, Call{"recv", SYS_recvfrom});
  CAPTURE(call.name);
  REQUIRE(client_.tell("wait-aside " + call.name) == "ok");
  wait_until_in(call.number);
  check_only_client("2 references: 1 descriptor, 1 waiting call");
  REQUIRE(client_.tell("wait-aside poll") == "ok");
  wait_until_in(SYS_poll);
  REQUIRE(client_.tell("park-copy") == "ok");
  CHECK(look().proof == Proof::hidden);
}

TEST_CASE_METHOD(CountedReferencesTest, "a call whose set of descriptors lies", "[identity][bpf]") {
  REQUIRE(client_.tell("park-copy") == "ok");
  REQUIRE(client_.tell("pretend") == "ok");
  check_hidden("2 references: 1 descriptor, 1 held out of sight");
}

TEST_CASE_METHOD(CountedReferencesTest, "a table of two processes is counted once",
                 "[identity][bpf]") {
  REQUIRE(client_.tell("share-table") == "ok");
  check_only_client("1 reference: 1 descriptor");
  REQUIRE(client_.tell("park-copy") == "ok");
  check_hidden("2 references: 1 descriptor, 1 held out of sight");
  CHECK(look().holders.size() == 2);
}

}  // namespace warder::identity
