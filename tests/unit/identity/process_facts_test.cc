#include "identity/process_facts.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>

#include "identity/proc_fs.h"
#include "identity/proc_holders.h"
#include "tests/support/proc_tree.h"

namespace warder::identity {
namespace {

FileId id_of(const std::string& path) {
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  return {info.st_dev, info.st_ino};
}

// Sandbox 469 with a root of its own, Warder's root self/root, and process 500 to be told about.
struct Facts {
  testing::ProcTree tree;
  net::UniqueFd root;
  std::vector<Sandbox> sandboxes;

  Facts() {
    tree.process(1, 0, 1, tree.path("self/root/sbin/init"));
    tree.process(469, 1, 100, tree.path("469/root/usr/bin/sh"));
    tree.write("469/root/usr/bin/curl", "the sandbox's curl");
    tree.write("self/root/usr/bin/curl", "the host's curl");
    root = std::move(*open_directory(AT_FDCWD, tree.root()));
    sandboxes.push_back(std::move(*Sandbox::open(root.get(), 469)));
  }
  // A process as the kernel would show it: `image` runs, and its name is `path`.
  Process named(const std::string& path, const std::string& image,
                std::vector<Scope> scopes = {Scope{Scope::Kind::pid, 469, {}, 0}}) {
    Process process;
    process.pid = 500;
    process.path = path;
    process.image = id_of(tree.path(image));
    ProcProcessFacts(root.get(), sandboxes).give_name(process, scopes);
    return process;
  }
};

}  // namespace

TEST_CASE("a path is a name where it is the running image under a trusted root", "[identity]") {
  Facts facts;
  CHECK(facts.named("/usr/bin/curl", "469/root/usr/bin/curl").binary == "/usr/bin/curl");
  CHECK(facts.named("/usr/bin/curl", "self/root/usr/bin/curl").binary == "/usr/bin/curl");
  CHECK(facts.named("/usr/bin/curl", "self/root/usr/bin/curl", {Scope{}}).binary ==
        "/usr/bin/curl");
  // In the global scope it may be any sandbox's.
  CHECK(facts.named("/usr/bin/curl", "469/root/usr/bin/curl", {Scope{}}).binary == "/usr/bin/curl");
}

TEST_CASE("another file of that path is an alien", "[identity]") {
  Facts facts;
  facts.tree.write("evil", "evil");
  const Process alien = facts.named("/usr/bin/curl", "evil");
  CHECK_FALSE(alien.binary);
  CHECK(alien.path == "/usr/bin/curl");
  CHECK_FALSE(alien.deleted);
  CHECK_FALSE(facts.named("/usr/bin/curl2", "evil").binary);
  CHECK_FALSE(facts.named("usr/bin/curl", "469/root/usr/bin/curl").binary);
  CHECK_FALSE(facts.named("", "469/root/usr/bin/curl").binary);
  CHECK_FALSE(facts.named("/", "469/root/usr/bin/curl").binary);
  // A sandbox in which the socket isn't names nothing.
  CHECK_FALSE(
      facts.named("/usr/bin/curl", "469/root/usr/bin/curl", {Scope{Scope::Kind::pid, 470, {}, 0}})
          .binary);
}

TEST_CASE("links and dots don't lead out of a root", "[identity]") {
  Facts facts;
  facts.tree.write("evil", "evil");
  facts.tree.link("469/root/usr/bin/link", "curl");
  facts.tree.link("469/root/usr/bin/out", facts.tree.path("evil"));
  CHECK_FALSE(facts.named("/usr/bin/link", "469/root/usr/bin/curl").binary);
  CHECK_FALSE(facts.named("/usr/bin/out", "evil").binary);
  CHECK_FALSE(facts.named("/../../evil", "evil").binary);
}

TEST_CASE("the kernel's mark of a removed file is taken off once, where it is one", "[identity]") {
  Facts facts;
  facts.tree.write("evil", "evil");
  const Process replaced = facts.named("/usr/bin/curl (deleted)", "evil");
  CHECK(replaced.deleted);
  CHECK(replaced.path == "/usr/bin/curl");
  CHECK_FALSE(replaced.binary);

  const Process twice = facts.named("/usr/bin/x (deleted) (deleted)", "evil");
  CHECK(twice.deleted);
  CHECK(twice.path == "/usr/bin/x (deleted)");

  facts.tree.write("469/root/usr/bin/odd (deleted)", "odd");
  const Process odd = facts.named("/usr/bin/odd (deleted)", "469/root/usr/bin/odd (deleted)");
  CHECK_FALSE(odd.deleted);
  CHECK(odd.binary == "/usr/bin/odd (deleted)");
}

TEST_CASE("the policy's paths are looked up under the root that gives the name", "[identity]") {
  Facts facts;
  facts.tree.link("469/root/bin", "usr/bin");
  facts.tree.link("self/root/bin", "usr/bin");
  facts.tree.write("evil", "evil");
  PolicyPaths paths;
  (void)paths.set({"/bin/curl", "/usr/bin/curl"});
  ProcProcessFacts reader(facts.root.get(), facts.sandboxes, {false, &paths});
  const auto names = [&](const std::string& path, const std::string& image) {
    Process process;
    process.pid = 500;
    process.path = path;
    process.image = id_of(facts.tree.path(image));
    reader.give_name(process, std::vector<Scope>{Scope{Scope::Kind::pid, 469, {}, 0}});
    return process.names;
  };
  const std::vector<std::string> both{"/bin/curl", "/usr/bin/curl"};
  CHECK(names("/usr/bin/curl", "469/root/usr/bin/curl") == both);
  CHECK(names("/usr/bin/curl", "self/root/usr/bin/curl") == both);
  // What has no name of its own gets none from the policy, even if it is such a file.
  CHECK(names("/usr/bin/curl", "evil").empty());
  CHECK(names("/tmp/mounted", "469/root/usr/bin/curl").empty());
}

TEST_CASE("a sandbox that has ended names nothing", "[identity]") {
  Facts facts;
  facts.tree.remove("469/stat");
  CHECK_FALSE(facts.named("/usr/bin/curl", "469/root/usr/bin/curl").binary);
  CHECK(facts.named("/usr/bin/curl", "self/root/usr/bin/curl").binary);
}

TEST_CASE("facts of a process and its ancestors", "[identity]") {
  Facts facts;
  const std::string exe = facts.tree.path("469/root/usr/bin/curl");
  facts.tree.process(500, 469, 200, exe);
  ProcProcessFacts reader(facts.root.get(), facts.sandboxes);
  auto process = reader.read({500, 500, {}});
  REQUIRE(process);
  CHECK(process->start_time == 200);
  CHECK(process->uid == 1000);
  CHECK(process->gid == 1001);
  CHECK(process->path == exe);
  CHECK(process->image == id_of(exe));
  CHECK(process->ancestors == std::vector<std::string>{facts.tree.path("469/root/usr/bin/sh"),
                                                       facts.tree.path("self/root/sbin/init")});
  // Whether one was left out, after a parent's end, can't be seen in procfs.
  CHECK_FALSE(process->ancestors_complete);
  CHECK(reader.vitals({500, 500, {}}) == Vitals{200, id_of(exe)});

  // Its parent's number belongs to a younger process now.
  facts.tree.process(469, 1, 201, exe);
  process = reader.read({500, 500, {}});
  REQUIRE(process);
  CHECK(process->ancestors.empty());

  // A circle.
  facts.tree.process(469, 500, 200, exe);
  process = reader.read({500, 500, {}});
  REQUIRE(process);
  CHECK(process->ancestors.size() == 1);
}

TEST_CASE("ancestors are bounded", "[identity]") {
  Facts facts;
  const std::string exe = facts.tree.path("469/root/usr/bin/curl");
  for (pid_t pid = 1000; pid < 1040; ++pid) facts.tree.process(pid, pid + 1, 200, exe);
  const auto process = ProcProcessFacts(facts.root.get(), facts.sandboxes).read({1000, 1000, {}});
  REQUIRE(process);
  CHECK(process->ancestors.size() == 32);
}

TEST_CASE("the first process of a PID namespace has nobody before it", "[identity]") {
  Facts facts;
  facts.tree.process(500, 469, 200, facts.tree.path("469/root/usr/bin/curl"));
  facts.tree.write("500/task/500/status", "Uid:\t1\t1\t1\t1\nGid:\t1\t1\t1\t1\nNSpid:\t500\t1\n");
  const auto process = ProcProcessFacts(facts.root.get(), facts.sandboxes).read({500, 500, {}});
  REQUIRE(process);
  CHECK(process->ancestors_complete);
}

TEST_CASE("where a process is, who traces it and what it says of itself", "[identity]") {
  Facts facts;
  const std::string id(64, 'a');
  facts.tree.process(500, 469, 200, facts.tree.path("469/root/usr/bin/curl"));
  facts.tree.write("500/task/500/cgroup", "0::/kubepods/pod" + std::string(32, 'b') + "/" + id);
  facts.tree.write("500/task/500/cmdline", std::string("curl\0--proxy\0x\0", 15));
  facts.tree.write("500/task/501/status", "TracerPid:\t0\n");
  FactsOptions options;
  SECTION("as a rule") {
    const auto process = ProcProcessFacts(facts.root.get(), facts.sandboxes).read({500, 500, {}});
    REQUIRE(process);
    CHECK(process->container == id);
    CHECK(process->pod == std::string(32, 'b'));
    CHECK_FALSE(process->traced);
    CHECK_FALSE(process->command_line);
  }
  options.command_line = true;
  ProcProcessFacts reader(facts.root.get(), facts.sandboxes, options);
  SECTION("with its command line") {
    CHECK(reader.read({500, 500, {}})->command_line == "curl --proxy x");
    facts.tree.write("500/task/500/cmdline", std::string(10000, 'x'));
    CHECK(reader.read({500, 500, {}})->command_line == std::string(4096, 'x'));
  }
  SECTION("another thread of it is traced") {
    facts.tree.write("500/task/501/status", "TracerPid:\t469\n");
    CHECK(reader.read({500, 500, {}})->traced);
  }
}

namespace {

// As BPF would tell of process 500, started at tick 200 (of 100 a second).
Holder told(std::uint64_t executions, std::vector<KernelTask> ancestors = {}) {
  Holder holder{500, 500, SocketPass::Task{}};
  holder.kernel->task = {500, 2'000'000'000, executions, {1, 0, 77}};
  holder.kernel->facts.uid = 7;
  holder.kernel->facts.gid = 8;
  holder.kernel->facts.ancestors = std::move(ancestors);
  return holder;
}

}  // namespace

TEST_CASE("of a process that the kernel told about nothing is read twice", "[identity]") {
  Facts facts;
  const std::string exe = facts.tree.path("469/root/usr/bin/curl");
  facts.tree.process(500, 469, 200, exe);
  ProcProcessFacts reader(facts.root.get(), facts.sandboxes);
  const Holder holder = told(3, {{469, 1'000'000'000, 1, {}}});
  const auto first = reader.read(holder);
  REQUIRE(first);
  CHECK(first->uid == 7);
  CHECK(first->gid == 8);
  CHECK(first->ancestors == std::vector<std::string>{facts.tree.path("469/root/usr/bin/sh")});
  CHECK(first->ancestors_complete);

  facts.tree.remove("500");
  facts.tree.remove("469/exe");
  const auto again = reader.read(holder);
  REQUIRE(again);
  CHECK(*again == *first);
  CHECK(reader.vitals(holder) == Vitals{200, id_of(exe)});

  // It has executed something since: all of that is old.
  CHECK(reader.read(told(4)).error().code == Errc::not_found);
  CHECK(reader.vitals(told(4)).error().code == Errc::not_found);
  // Nobody asked the kernel.
  CHECK(reader.read({500, 500, {}}).error().code == Errc::not_found);
}

TEST_CASE("at once only what is kept of a process is told", "[identity]") {
  Facts facts;
  facts.tree.process(500, 469, 200, facts.tree.path("469/root/usr/bin/curl"));
  Effort effort;
  ProcProcessFacts reader(facts.root.get(), facts.sandboxes, {}, &effort);
  const auto at_once = [&](const Holder& holder) -> std::optional<Process> {
    const Effort::AtOnce now(effort);
    auto process = reader.read(holder);
    if (!process) {
      CHECK(process.error().code == Errc::cancelled);
      CHECK(effort.gave_up());
      return std::nullopt;
    }
    process->path = "/usr/bin/curl";
    reader.give_name(*process, {});
    CHECK(reader.vitals(holder).has_value());
    if (effort.gave_up()) return std::nullopt;
    return *process;
  };
  CHECK_FALSE(at_once(told(1)));
  Process known = *reader.read(told(1));
  CHECK_FALSE(at_once(told(1)));  // whether it may change its image is not known yet
  known.path = "/usr/bin/curl";
  reader.give_name(known, {});
  const auto found = at_once(told(1));
  REQUIRE(found);
  CHECK(*found == known);
  CHECK(found->binary == "/usr/bin/curl");

  // A parent whose name is not known, and nobody remembers that it was not looked for.
  const Holder child = told(1, {{469, 1'000'000'000, 1, {}}});
  CHECK_FALSE(at_once(child));
  CHECK(reader.read(child)->ancestors.size() == 1);
  REQUIRE(at_once(child));
  CHECK(at_once(child)->ancestors_complete);
  // Another program by now, and a holder of whom the kernel told nothing.
  CHECK_FALSE(at_once(told(2)));
  CHECK_FALSE(at_once({500, 500, {}}));
}

TEST_CASE("a number that belongs to another process than the kernel's", "[identity]") {
  Facts facts;
  facts.tree.process(500, 469, 201, facts.tree.path("469/root/usr/bin/curl"));
  ProcProcessFacts reader(facts.root.get(), facts.sandboxes);
  CHECK(reader.read(told(1)).error().code == Errc::not_found);
  // Of an ancestor: it has no name then.
  facts.tree.process(500, 469, 200, facts.tree.path("469/root/usr/bin/curl"));
  const auto process = reader.read(told(1, {{469, 1'010'000'000, 1, {}}}));
  REQUIRE(process);
  CHECK(process->ancestors.empty());
  CHECK_FALSE(process->ancestors_complete);
}

TEST_CASE("a known process whose file was moved or removed", "[identity]") {
  Facts facts;
  const std::string exe = facts.tree.path("469/root/usr/bin/curl");
  facts.tree.process(500, 469, 200, exe);
  ProcProcessFacts reader(facts.root.get(), facts.sandboxes);
  Process process = *reader.read(told(1));
  process.path = "/usr/bin/curl";  // as the kernel would show it
  reader.give_name(process, {});
  CHECK(process.binary == "/usr/bin/curl");
  // The link says another name now; what was kept is not taken for it.
  process = *reader.read(told(1));
  facts.tree.remove("500/task/500/exe");
  std::filesystem::rename(exe, exe + "2");
  facts.tree.link("500/task/500/exe", "/usr/bin/curl2");
  process.path = "/usr/bin/curl";
  process.binary.reset();
  reader.give_name(process, {});
  CHECK(process.binary == "/usr/bin/curl2");
}

TEST_CASE("a process that has ended is not found", "[identity]") {
  Facts facts;
  ProcProcessFacts reader(facts.root.get(), facts.sandboxes);
  CHECK(reader.read({500, 500, {}}).error().code == Errc::not_found);
  facts.tree.process(500, 469, 200, facts.tree.path("nowhere"));
  CHECK(reader.read({500, 500, {}}).error().code == Errc::not_found);
  CHECK(reader.vitals({500, 500, {}}).error().code == Errc::not_found);
}

TEST_CASE("holders are found in any thread's table, once each", "[identity]") {
  Facts facts;
  facts.tree.process(500, 1, 200, "/usr/bin/curl");
  facts.tree.link("500/task/500/fd/5", "socket:[4711]");
  facts.tree.link("500/task/500/fd/6", "socket:[4711]");
  facts.tree.link("500/task/501/fd/3", "socket:[4711]");
  facts.tree.process(400, 1, 200, "/usr/bin/wget");
  facts.tree.link("400/task/401/fd/3", "socket:[4711]");
  facts.tree.link("400/task/400/fd/3", "socket:[4712]");
  facts.tree.link("400/task/400/fd/4", "/tmp/socket:[4711]");
  facts.tree.link("469/task/469/fd/4", "pipe:[4711]");
  ProcHolders holders(facts.root.get());
  const std::vector<FoundSocket> wanted{{4711, 0}, {4713, 0}};
  const HolderScan scan = holders.find(wanted);
  REQUIRE(scan.by_inode.size() == 1);
  const auto& found = scan.by_inode.at(4711).holders;
  REQUIRE(found.size() == 2);
  CHECK(found[0] == Holder{400, 401, {}});
  CHECK(found[1].pid == 500);
  CHECK(scan.unreadable == 0);
  const auto changed = [&](Holder holder) {
    SocketHolders before;
    before.holders = {std::move(holder)};
    return holders.changed({4711, 0}, before);
  };
  CHECK_FALSE(changed({400, 401, {}}));
  CHECK(changed({400, 400, {}}));
  CHECK(changed({402, 402, {}}));
}

}  // namespace warder::identity
