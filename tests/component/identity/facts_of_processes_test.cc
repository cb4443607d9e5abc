#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "identity/proc_fs.h"
#include "identity/process_facts.h"
#include "identity/trusted_roots.h"
#include "tests/component/identity/bpf_fixture.h"
#include "tests/component/identity/client.h"
#include "tests/support/proc_tree.h"

namespace warder::identity {
namespace {

class FactsFixture : public testing::BpfFixture {
 public:
  FactsFixture()
      : proc_(std::move(*open_directory(AT_FDCWD, "/proc"))), facts(proc_.get(), none_) {}

  // As the pass over all processes shows the holders of that socket.
  std::vector<Process> holders(std::uint64_t inode) {
    std::vector<Process> list;
    for (const SocketPass::Task& task : pass(inode, 0).tasks) {
      auto process = facts.read({task.task.pid, task.task.pid, task});
      if (!process) continue;
      facts.give_name(*process, {});
      list.push_back(std::move(*process));
    }
    return list;
  }
  // The one that runs `program`, once there is one.
  Process holder_running(std::uint64_t inode, const std::string& program) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (;;) {
      for (Process& process : holders(inode))
        if (process.path == program) return std::move(process);
      REQUIRE(std::chrono::steady_clock::now() < end);
    }
  }
  Process only_holder(std::uint64_t inode) {
    auto list = holders(inode);
    REQUIRE(list.size() == 1);
    return std::move(list.front());
  }

 private:
  net::UniqueFd proc_;
  std::vector<Sandbox> none_;

 public:
  ProcProcessFacts facts;
};

// A shell that runs `script` as the first process of new namespaces and then waits. Killed at the
// end with everything in it.
class InNamespaces {
 public:
  InNamespaces(std::vector<std::string> options, const std::string& script) {
    std::array<int, 2> ready{};
    REQUIRE(::pipe2(ready.data(), O_CLOEXEC) == 0);
    const net::UniqueFd read_end(ready[0]);
    std::vector<std::string> words{"unshare", "--fork", "--kill-child"};
    words.insert(words.end(), options.begin(), options.end());
    // exec: a shell that forked would be a process more.
    words.insert(words.end(), {"sh", "-c", script + " && echo ready && exec sleep 600"});
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ready[1], 1);
    REQUIRE(::posix_spawnp(&pid_, "unshare", &actions, nullptr, arguments.data(), environ) == 0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ready[1]);
    std::array<char, 6> text{};
    std::size_t got = 0;
    for (ssize_t size = 1; size > 0 && got < text.size(); got += static_cast<std::size_t>(size))
      size = std::max<ssize_t>(::read(read_end.get(), text.data() + got, text.size() - got), 0);
    REQUIRE(std::string_view(text.data(), got) == "ready\n");
    const auto children = read_file(
        AT_FDCWD, "/proc/" + std::to_string(pid_) + "/task/" + std::to_string(pid_) + "/children",
        4096);
    REQUIRE(children);
    inner_ = static_cast<pid_t>(std::stol(*children));
  }
  ~InNamespaces() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  InNamespaces(const InNamespaces&) = delete;
  InNamespaces& operator=(const InNamespaces&) = delete;

  [[nodiscard]] pid_t pid() const { return inner_; }

 private:
  pid_t pid_ = -1;
  pid_t inner_ = -1;
};

Scope discovered_scope() {
  Scope scope;
  scope.kind = Scope::Kind::discovered;
  return scope;
}

}  // namespace

// As the first process of a PID namespace: see below.
TEST_CASE_METHOD(FactsFixture, "ancestors, as the first process", "[.][facts-inside]") {
  REQUIRE(::getpid() == 1);
  const testing::ProgramCopy other("other");
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  testing::Client client(testing::kClientProgram);
  const testing::Ids ids = connect(client);
  Process process = only_holder(ids.inode);
  CHECK(process.ancestors == std::vector<std::string>{self});
  CHECK(process.ancestors_complete);

  REQUIRE(client.tell("fork " + other.path()).starts_with("ok"));
  process = holder_running(ids.inode, other.path());
  CHECK(process.ancestors == std::vector<std::string>{testing::kClientProgram, self});
  CHECK(process.ancestors_complete);

  // A shell was in between, and its end made us the parent.
  const testing::ProgramCopy orphan("orphan"), sibling("sibling");
  REQUIRE(client.tell("leave-orphan " + orphan.path()) == "ok");
  process = holder_running(ids.inode, orphan.path());
  CHECK(process.ancestors == std::vector<std::string>{self});
  CHECK_FALSE(process.ancestors_complete);

  // The client was.
  REQUIRE(client.tell("make-sibling " + sibling.path()) == "ok");
  process = holder_running(ids.inode, sibling.path());
  CHECK(process.ancestors == std::vector<std::string>{self});
  CHECK_FALSE(process.ancestors_complete);

  // It executed something in between itself.
  REQUIRE(client.tell("exec " + other.path()) == "ok");
  testing::Client second(testing::kClientProgram);
  const testing::Ids more = connect(second);
  CHECK(only_holder(more.inode).ancestors_complete);
  REQUIRE(second.tell("exec " + orphan.path()) == "ok");
  CHECK_FALSE(holder_running(more.inode, orphan.path()).ancestors_complete);
}

TEST_CASE("ancestors are complete only when nobody can have been in between", "[identity][bpf]") {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command =
      "unshare --pid --fork --mount-proc '" + self + "' '[facts-inside]' > /dev/null";
  CHECK(std::system(command.c_str()) == 0);  // NOLINT(cert-env33-c)
}

TEST_CASE_METHOD(FactsFixture, "a process that gives itself another image", "[identity][bpf]") {
  const testing::ProgramCopy allowed("allowed");
  testing::Client client(testing::kClientProgram);
  const testing::Ids ids = connect(client);
  CHECK_FALSE(only_holder(ids.inode).image_settable);
  REQUIRE(client.tell("set-image " + allowed.path()) == "ok");
  const Process process = only_holder(ids.inode);
  CHECK(process.path == allowed.path());
  CHECK(process.binary == allowed.path());
  CHECK(process.image_settable);
  // By procfs alone too.
  const auto plain = facts.read({client.pid(), client.pid(), {}});
  REQUIRE(plain);
  CHECK(plain->path == allowed.path());
  CHECK(plain->image_settable);
  // In a sandbox's own user namespace that is what was asked for.
  const net::UniqueFd proc = std::move(*open_directory(AT_FDCWD, "/proc"));
  std::vector<Sandbox> sandboxes;
  sandboxes.push_back(std::move(*Sandbox::open(proc.get(), client.pid())));
  ProcProcessFacts configured(proc.get(), sandboxes);
  CHECK_FALSE(configured.read({client.pid(), client.pid(), {}})->image_settable);
  client.kill();
  testing::Client other(testing::kClientProgram);
  REQUIRE(other.tell("set-image " + allowed.path()) == "ok");
  CHECK(configured.read({other.pid(), other.pid(), {}})->image_settable);
}

TEST_CASE_METHOD(FactsFixture, "a parent that may have any file at any path", "[identity][bpf]") {
  const testing::ProgramCopy allowed("allowed"), other("other");
  testing::Client client(testing::kClientProgram);
  const testing::Ids ids = connect(client);
  REQUIRE(client.tell("fork " + other.path()).starts_with("ok"));
  Process process = holder_running(ids.inode, other.path());
  CHECK(process.ancestors.at(0) == testing::kClientProgram);

  REQUIRE(client.tell("set-image " + allowed.path()) == "ok");
  process = holder_running(ids.inode, other.path());
  CHECK(process.ancestors.at(0) == kForeignPath);
  CHECK(process.ancestors.at(1) == std::filesystem::read_symlink("/proc/self/exe").string());
  const auto plain = facts.read({process.pid, process.pid, {}});
  REQUIRE(plain);
  CHECK(plain->ancestors.at(0) == kForeignPath);
  // In a sandbox's own user namespace its paths are what the policy means.
  const net::UniqueFd proc = std::move(*open_directory(AT_FDCWD, "/proc"));
  std::vector<Sandbox> sandboxes;
  sandboxes.push_back(std::move(*Sandbox::open(proc.get(), client.pid())));
  ProcProcessFacts configured(proc.get(), sandboxes);
  CHECK(configured.read({process.pid, process.pid, {}})->ancestors.at(0) == allowed.path());
}

TEST_CASE_METHOD(FactsFixture, "what is read once and what each time", "[identity][bpf]") {
  const testing::ProgramCopy program("program");
  testing::Client client(program.path());
  const testing::Ids ids = connect(client);
  const Process first = only_holder(ids.inode);
  CHECK(first.binary == program.path());
  CHECK(first.image_writable == (::getuid() == 0 || ::access(program.path().c_str(), W_OK) == 0));
  CHECK_FALSE(first.traced);
  CHECK(only_holder(ids.inode) == first);
  SECTION("moved") {
    const std::string elsewhere = program.path() + "2";
    std::filesystem::rename(program.path(), elsewhere);
    const Process moved = only_holder(ids.inode);
    CHECK(moved.binary == elsewhere);
    CHECK(moved.image == first.image);
  }
  SECTION("removed") {
    std::filesystem::remove(program.path());
    const Process removed = only_holder(ids.inode);
    CHECK_FALSE(removed.binary);
    CHECK(removed.deleted);
    CHECK(removed.path == program.path());
  }
  SECTION("traced") {
    REQUIRE(client.tell("trace-second-thread") == "ok");
    for (const Process& holder : holders(ids.inode))  // its tracer is one too
      if (holder.pid == client.pid()) CHECK(holder.traced);
    CHECK(facts.read({client.pid(), client.pid(), {}})->traced);
  }
  SECTION("another program") {
    REQUIRE(client.tell("exec " + testing::kClientProgram) == "ok");
    const Process now = only_holder(ids.inode);
    CHECK(now.path == testing::kClientProgram);
    CHECK(now.image != first.image);
    CHECK(now.start_time == first.start_time);
  }
}

TEST_CASE("the root of a discovered namespace", "[identity]") {
  const net::UniqueFd proc = std::move(*open_directory(AT_FDCWD, "/proc"));
  const std::vector<Sandbox> none;
  TrustedRoots roots(proc.get(), none);
  const std::array scopes{discovered_scope()};
  const testing::ProcTree tree;
  tree.directory("place");
  tree.write("jail/bin/sh", "");
  const std::string mount = "mount -t tmpfs none '" + tree.path("place") + "' && echo > '" +
                            tree.path("place") + "/tool'";
  const auto shown = [&](pid_t pid) {
    const auto list = roots.of(pid, scopes);
    return std::any_of(list.begin(), list.end(), [&](int root) {
      return file_id_in_root(root, tree.path("place") + "/tool").has_value();
    });
  };
  SECTION("of its first process") {
    const InNamespaces space({"--pid", "--mount"}, mount);
    CHECK(shown(space.pid()));
    CHECK(roots.of(space.pid(), scopes).size() == 2);
    CHECK_FALSE(shown(::getpid()));
  }
  SECTION("not where that has gone to by chroot(2)") {
    // /proc/<pid>/root is the jail then, where a path would name another file.
    const InNamespaces space({"--pid", "--mount"},
                             mount + " && mount --bind / '" + tree.path("jail") + "'" +
                                 " && mount -t tmpfs none '" + tree.path("jail") +
                                 tree.path("place") + "' && exec chroot '" + tree.path("jail") +
                                 "' sh -c 'echo ready; exec sleep 600'; true");
    CHECK(shown(space.pid()));
  }
  SECTION("not one that a user namespace below ours owns") {
    const InNamespaces space({"--user", "--map-root-user", "--pid", "--mount"}, mount);
    CHECK(roots.of(space.pid(), scopes).size() == 1);
    CHECK_FALSE(shown(space.pid()));
  }
  SECTION("nor a PID namespace of such an owner in another's mounts") {
    const InNamespaces space({"--user", "--map-root-user", "--pid"}, "true");
    CHECK(roots.of(space.pid(), scopes).size() == 1);
  }
}

// Only when asked for: component_tests "[facts-cost]".
TEST_CASE_METHOD(FactsFixture, "what the facts of a holder cost", "[.][facts-cost]") {
  testing::Client client(testing::kClientProgram);
  const testing::Ids ids = connect(client);
  const SocketPass seen = pass(ids.inode, client.pid());
  const Holder holder{client.pid(), client.pid(), seen.tasks.front()};
  const auto tell = [](const char* what, const auto& call) {
    std::vector<double> costs(5000);
    for (double& cost : costs) {
      const auto begin = std::chrono::steady_clock::now();
      call();
      const std::chrono::duration<double, std::micro> spent =
          std::chrono::steady_clock::now() - begin;
      cost = spent.count();
    }
    std::sort(costs.begin(), costs.end());
    std::cout << what << ": median " << costs[costs.size() / 2] << " us, 99% "
              << costs[costs.size() * 99 / 100] << " us" << std::endl;
  };
  Process process = *facts.read(holder);
  tell("read, known", [&] { process = *facts.read(holder); });
  tell("name", [&] {
    process.binary.reset();
    facts.give_name(process, {});
  });
  tell("vitals, known", [&] { (void)facts.vitals(holder); });
  tell("all, known", [&] {
    process = *facts.read(holder);
    facts.give_name(process, {});
    (void)facts.vitals(holder);
  });
  tell("all, by procfs alone", [&] {
    process = *facts.read({client.pid(), client.pid(), {}});
    facts.give_name(process, {});
    (void)facts.vitals({client.pid(), client.pid(), {}});
  });
}

}  // namespace warder::identity
