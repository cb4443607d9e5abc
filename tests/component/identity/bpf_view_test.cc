#include <linux/capability.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstdlib>
#include <thread>

#include "tests/component/identity/bpf_fixture.h"

namespace warder::identity {
namespace {

using testing::BpfFixture;
using testing::Client;
using testing::Ids;
using testing::kClientProgram;
using testing::ProgramCopy;

std::size_t descriptors_open() {
  const std::filesystem::directory_iterator all("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

std::uint64_t namespace_of(pid_t pid, const char* kind) {
  struct stat info {};
  REQUIRE(::stat(("/proc/" + std::to_string(pid) + "/ns/" + kind).c_str(), &info) == 0);
  return info.st_ino;
}

}  // namespace

TEST_CASE_METHOD(BpfFixture, "a plain client connected and holds the only reference",
                 "[identity][bpf][bpf-plain]") {
  Client client(kClientProgram);
  const auto [address, command] = GENERATE(
      std::pair("127.0.0.1", "connect"), std::pair("::1", "connect"),
      std::pair("127.0.0.1", "connect-mapped"), std::pair("127.0.0.1", "connect-in-thread"));
  const Ids ids = connect(client, command, address);
  const SocketPass seen = counted(ids.inode, client.pid(), 1, 1, 0);
  REQUIRE(seen.tasks.size() == 1);
  CHECK(seen.held.front().thread == client.pid());
  const KernelTask& task = seen.tasks.front().task;
  CHECK(task.pid == client.pid());
  CHECK(task.image.inode != 0);
  const auto who = connector(ids.cookie);
  REQUIRE(who);
  CHECK(who->task == task);
  CHECK(who->uid == ::getuid());
  (void)counted(ids.inode, 0, 1, 1, 0);
}

TEST_CASE_METHOD(BpfFixture, "a connection that nobody recorded has no connector",
                 "[identity][bpf]") {
  CHECK_FALSE(connector(0));
  CHECK_FALSE(connector(~std::uint64_t{0}));
}

TEST_CASE("a PID namespace of our own: numbers are ours", "[identity][bpf]") {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  // Of the output only the failure is of interest, and exit codes tell that.
  const std::string command =
      "unshare --pid --fork --mount-proc '" + self + "' '[bpf-plain]' > /dev/null";
  CHECK(std::system(command.c_str()) == 0);  // NOLINT(cert-env33-c)
}

TEST_CASE_METHOD(BpfFixture, "the facts of a process", "[identity][bpf]") {
  Client client(kClientProgram);
  const Ids ids = connect(client);
  const SocketPass seen = pass(ids.inode, client.pid());
  REQUIRE(seen.tasks.size() == 1);
  const KernelFacts& facts = seen.tasks.front().facts;
  CHECK(facts.uid == ::getuid());
  CHECK(facts.gid == ::getgid());
  CHECK(facts.user_namespace == namespace_of(client.pid(), "user"));
  CHECK_FALSE(facts.traced);
  REQUIRE_FALSE(facts.ancestors.empty());
  CHECK(facts.ancestors.front().pid == ::getpid());
  CHECK(facts.ancestors.front().image.inode != 0);
  CHECK(facts.ancestors.front().image != seen.tasks.front().task.image);
  CHECK(facts.ancestors.back().pid == 1);
  CHECK(facts.ancestors.at(1).pid == ::getppid());
  REQUIRE(client.tell("trace-second-thread") == "ok");
  CHECK(pass(ids.inode, client.pid()).tasks.front().facts.traced);
}

TEST_CASE_METHOD(BpfFixture, "a duplicate is a reference and a descriptor", "[identity][bpf]") {
  Client client(kClientProgram);
  const Ids ids = connect(client);
  // More than fits into one read(2) of the pass.
  const int more = GENERATE(1, 18000);
  REQUIRE(client.tell("dup-many " + std::to_string(more)) == "ok");
  const auto count = static_cast<std::size_t>(more) + 1;
  const SocketPass seen = counted(ids.inode, client.pid(), count, count, 0);
  CHECK(seen.tasks.size() == 1);
  std::vector<int> numbers;
  for (const HeldDescriptor& held : seen.held) numbers.push_back(held.descriptor);
  CHECK(std::is_sorted(numbers.begin(), numbers.end()));
  CHECK(std::adjacent_find(numbers.begin(), numbers.end()) == numbers.end());
}

TEST_CASE_METHOD(BpfFixture, "an inherited descriptor is found by the full pass",
                 "[identity][bpf]") {
  const ProgramCopy other("other");
  Client client(kClientProgram);
  const Ids ids = connect(client);
  const bool executes = GENERATE(false, true);
  REQUIRE(client.tell(executes ? "fork " + other.path() : "fork").starts_with("ok"));
  (void)counted(ids.inode, client.pid(), 1, 2, 0);
  const SocketPass all = counted(ids.inode, 0, 2, 2, 0);
  REQUIRE(all.tasks.size() == 2);
  CHECK(all.held[0].table != all.held[1].table);
  CHECK((all.tasks[0].task.image != all.tasks[1].task.image) == executes);
  const auto child = std::find_if(all.tasks.begin(), all.tasks.end(),
                                  [&](const auto& task) { return task.task.pid != client.pid(); });
  REQUIRE(child != all.tasks.end());
  CHECK(child->facts.ancestors.front().pid == client.pid());
  CHECK(connector(ids.cookie)->task.pid == client.pid());
}

TEST_CASE_METHOD(BpfFixture, "a parked descriptor is a reference that nobody shows",
                 "[identity][bpf]") {
  const ProgramCopy other("other");
  Client client(kClientProgram);
  const Ids ids = connect(client);
  REQUIRE(client.tell("fork " + other.path()).starts_with("ok"));
  REQUIRE(client.tell("park") == "ok");
  CHECK(pass(ids.inode, client.pid()).held.empty());
  const SocketPass all = counted(ids.inode, 0, 1, 2, 0);
  CHECK(all.tasks.at(0).task.pid != client.pid());
}

TEST_CASE_METHOD(BpfFixture, "a fixed file of io_uring is a reference that nobody shows",
                 "[identity][bpf]") {
  Client client(kClientProgram);
  const Ids ids = connect(client);
  REQUIRE(client.tell("uring") == "ok");
  (void)counted(ids.inode, 0, 1, 2, 0);
  REQUIRE(client.tell("close") == "ok");
  CHECK(pass(ids.inode, 0).held.empty());
}

TEST_CASE_METHOD(BpfFixture, "a copy by pidfd_getfd is found by the full pass", "[identity][bpf]") {
  Client client(kClientProgram);
  const Ids ids = connect(client);
  const net::UniqueFd copy = testing::copy_of_socket(client.pid());
  (void)counted(ids.inode, client.pid(), 1, 2, 0);
  const SocketPass all = counted(ids.inode, 0, 2, 2, 0);
  CHECK(std::any_of(all.tasks.begin(), all.tasks.end(),
                    [](const auto& task) { return task.task.pid == ::getpid(); }));
}

TEST_CASE_METHOD(BpfFixture, "calls that wait on the socket", "[identity][bpf]") {
  Client client(kClientProgram);
  const Ids ids = connect(client);
  SECTION("in a thread beside others") {
    const std::string call = GENERATE("poll", "ppoll", "select", "pselect", "recv", "send");
    REQUIRE(client.tell("wait-aside " + call) == "ok");
    (void)counted(ids.inode, client.pid(), 1, 2, 1);
    REQUIRE(client.tell("wait-aside poll") == "ok");
    (void)counted(ids.inode, client.pid(), 1, 3, 2);
    REQUIRE(client.tell("uring") == "ok");
    (void)counted(ids.inode, client.pid(), 1, 4, 2);
  }
  SECTION("in the only thread: poll") {
    REQUIRE(client.tell("wait poll") == "ok");
    (void)counted(ids.inode, client.pid(), 1, 2, 1);
  }
  SECTION("in the only thread: a read takes no reference") {
    REQUIRE(client.tell("wait recv") == "ok");
    testing::wait_until_in_call(client.pid(), SYS_recvfrom);
    (void)counted(ids.inode, client.pid(), 1, 1, 0);
  }
  SECTION("of another process are of that one's table") {
    const net::UniqueFd copy = testing::copy_of_socket(client.pid());
    REQUIRE(client.tell("wait-aside poll") == "ok");
    (void)counted(ids.inode, client.pid(), 1, 3, 1);
    (void)counted(ids.inode, ::getpid(), 1, 3, 0);
  }
}

TEST_CASE_METHOD(BpfFixture, "who connected is known after execve", "[identity][bpf]") {
  const ProgramCopy other("other");
  Client client(kClientProgram);
  const Ids ids = connect(client);
  REQUIRE(client.tell("exec " + other.path()) == "ok");
  const auto who = connector(ids.cookie);
  REQUIRE(who);
  const KernelTask now = pass(ids.inode, client.pid()).tasks.at(0).task;
  CHECK(now.pid == who->task.pid);
  CHECK(now.start_ns == who->task.start_ns);
  CHECK(now.executions == who->task.executions + 1);
  CHECK(now.image != who->task.image);
}

TEST_CASE_METHOD(BpfFixture, "threads with tables of their own", "[identity][bpf]") {
  Client client(kClientProgram);
  const bool shared = GENERATE(false, true);
  const Ids ids = connect(client, shared ? "connect-apart-in-two" : "connect-apart");
  const SocketPass seen = counted(ids.inode, client.pid(), shared ? 2 : 1, 1, 0);
  CHECK(seen.tasks.size() == 1);
  CHECK(seen.tasks.front().task.pid == client.pid());
  CHECK(seen.held.front().thread != client.pid());
  // One descriptor, shown twice.
  CHECK(seen.held.front().table == seen.held.back().table);
  CHECK(seen.held.front().descriptor == seen.held.back().descriptor);
  CHECK(connector(ids.cookie)->task == seen.tasks.front().task);
}

TEST_CASE_METHOD(BpfFixture, "the first thread has ended", "[identity][bpf]") {
  Client client(kClientProgram);
  const Ids ids = connect(client);
  REQUIRE(client.tell("leave-first-thread") == "ok");
  const SocketPass seen = counted(ids.inode, client.pid(), 1, 1, 0);
  CHECK(seen.held.front().thread != client.pid());
  CHECK(seen.tasks.at(0).task == connector(ids.cookie)->task);
}

TEST_CASE_METHOD(BpfFixture, "a process in a PID namespace below", "[identity][bpf]") {
  Client client(kClientProgram);
  REQUIRE(client.tell("go-on-in-pid-namespace") == "ok");
  const Ids ids = connect_in_child(client);
  const auto who = connector(ids.cookie);
  REQUIRE(who);
  CHECK(who->task.pid > 1);
  const SocketPass seen = counted(ids.inode, who->task.pid, 1, 1, 0);
  CHECK(seen.tasks.at(0).task == who->task);
  CHECK(seen.held.at(0).thread == who->task.pid);
  CHECK(seen.tasks.at(0).facts.ancestors.at(0).pid == client.pid());
}

TEST_CASE_METHOD(BpfFixture, "the other TCP sockets of a process", "[identity][bpf]") {
  Client client(kClientProgram);
  const Ids ids = connect(client);
  REQUIRE(client.tell("listen-and-connect") == "ok");
  const SocketPass seen = pass(ids.inode, client.pid(), true);
  CHECK(seen.held.size() == 1);
  CHECK(seen.others_complete);
  REQUIRE(seen.others.size() == 3);
  const auto& [listener, near, far] = std::tie(seen.others[0], seen.others[1], seen.others[2]);
  CHECK(listener.state == TCP_LISTEN);
  CHECK(near.state == TCP_ESTABLISHED);
  CHECK(far.state == TCP_ESTABLISHED);
  CHECK(near.remote.port == listener.local.port);
  CHECK(near.remote == far.local);
  CHECK(far.remote == near.local);
  CHECK(near.local.address.text() == "127.0.0.1");
  CHECK(connector(near.cookie)->task.pid == client.pid());
  CHECK((far.cookie == 0 || !connector(far.cookie)));
  CHECK(pass(ids.inode, client.pid(), false).others.empty());
  REQUIRE(client.tell("open-sockets 61") == "ok");
  CHECK(pass(ids.inode, client.pid(), true).others.size() == 64);
  CHECK(pass(ids.inode, client.pid(), true).others_complete);
  REQUIRE(client.tell("open-sockets 1") == "ok");
  CHECK(pass(ids.inode, client.pid(), true).others.size() == 64);
  CHECK_FALSE(pass(ids.inode, client.pid(), true).others_complete);
}

TEST_CASE_METHOD(BpfFixture, "many sockets are looked for at once", "[identity][bpf]") {
  Client one(kClientProgram), two(kClientProgram), three(kClientProgram);
  std::vector<std::uint64_t> inodes;
  for (Client* const client : {&one, &two, &three}) inodes.push_back(connect(*client).inode);
  const std::vector<std::uint64_t> wanted = inodes;
  const std::size_t count =
      GENERATE(std::size_t{3}, std::size_t{4}, std::size_t{7}, std::size_t{4096});
  // Numbers that no inode has: they are 32 bits wide (get_next_ino).
  while (inodes.size() < count) inodes.push_back((std::uint64_t{1} << 33) + inodes.size());
  const auto all = opened_.view->pass(inodes, {});
  REQUIRE(all);
  REQUIRE(all->held.size() == 3);
  for (const HeldDescriptor& held : all->held)
    CHECK(std::count(wanted.begin(), wanted.end(), held.inode) == 1);
  // Of all descriptors there are more than of these.
  CHECK(opened_.view->pass(inodes, {0, false, 3}).error().code == Errc::overloaded);
  CHECK(opened_.view->pass(wanted, {one.pid(), true, 1}).error().code == Errc::overloaded);
  const auto limited = opened_.view->pass(wanted, {one.pid(), true, 64});
  REQUIRE(limited);
  CHECK(limited->held.size() == 1);
  inodes.resize(4097);
  CHECK(opened_.view->pass(inodes, {}).error().code == Errc::overloaded);
  CHECK(opened_.view->pass({}, {})->held.empty());
}

TEST_CASE_METHOD(BpfFixture, "waiting calls that are not counted any more are said not to be",
                 "[identity][bpf]") {
  Client client(kClientProgram);
  const Ids ids = connect(client);
  REQUIRE(client.tell("dup-many 8300") == "ok");
  const SocketPass seen = pass(ids.inode, client.pid());
  REQUIRE(seen.held.size() == 8301);
  CHECK(seen.held.front().waiting_known);
  CHECK_FALSE(seen.held.back().waiting_known);
  CHECK(seen.held.back().references == 8301);
}

TEST_CASE_METHOD(BpfFixture, "a process with 19,000 descriptors, and one that is gone",
                 "[identity][bpf]") {
  Client client(kClientProgram);
  REQUIRE(client.tell("open-many 18900") == "ok");
  const Ids ids = connect(client);
  (void)counted(ids.inode, client.pid(), 1, 1, 0);
  CHECK(pass(ids.inode, client.pid()).held.front().descriptor > 18900);
  const pid_t pid = client.pid();
  client.kill();
  CHECK(pass(ids.inode, pid).held.empty());
  CHECK(pass(ids.inode, 0).held.empty());
}

TEST_CASE("nothing is left of a view", "[identity][bpf]") {
  const std::size_t before = descriptors_open();
  {
    BpfFixture fixture;
    CHECK(descriptors_open() > before);
    CHECK(fixture.pass(1, 0).held.empty());
  }
  CHECK(descriptors_open() == before);
}

TEST_CASE("without the capabilities the view says which", "[identity][bpf]") {
  BpfView opened;
  // capset(2) is of the calling thread alone.
  std::thread([&opened] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    data[0].effective = data[0].permitted = (1U << CAP_SYS_PTRACE) | (1U << CAP_DAC_READ_SEARCH);
    if (::syscall(SYS_capset, &header, data) == 0) opened = testing::open_view();
  }).join();
  CHECK_FALSE(opened.view);
  REQUIRE(opened.abilities.size() == 2);
  CHECK(opened.abilities[0].name == "connector_record");
  CHECK(opened.abilities[1].name == "reference_count");
  for (const Ability& ability : opened.abilities) {
    CHECK_FALSE(ability.available);
    CHECK(ability.detail.find("CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN) not effective") !=
          std::string::npos);
    CHECK_FALSE(ability.instead.empty());
  }
}

}  // namespace warder::identity
