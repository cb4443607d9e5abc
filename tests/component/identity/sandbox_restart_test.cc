#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "identity/proc_fs.h"
#include "identity/sandboxes.h"
#include "tests/component/identity/client.h"
#include "tests/support/proc_tree.h"

namespace warder::identity {
namespace {

using Kind = SandboxSpec::Kind;

struct RealHost {
  net::UniqueFd proc = std::move(*open_directory(AT_FDCWD, "/proc"));
  std::unique_ptr<Sandboxes> sandboxes;

  void use(std::vector<SandboxSpec> specs) {
    auto made = Sandboxes::open({proc.get()}, specs);
    REQUIRE(made);
    sandboxes = std::move(*made);
  }
  [[nodiscard]] const Sandbox& first() const { return sandboxes->list().front(); }
  // Refreshes until the first one is that process; false when it isn't within ten seconds.
  [[nodiscard]] bool becomes(pid_t pid) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    do sandboxes->refresh();
    while (first().pid() != pid && std::chrono::steady_clock::now() < end);
    return first().pid() == pid;
  }
};

// A cgroup of version 2 with a name that no other test has; removed at the end, when it is empty.
class RealCgroup {
 public:
  RealCgroup() : RealCgroup(root() + "/warder-test-" + std::to_string(::getpid())) {}
  explicit RealCgroup(std::string path) : path_(std::move(path)) {
    REQUIRE(::mkdir(path_.c_str(), 0755) == 0);
  }
  ~RealCgroup() {
    // The last process has been waited for, but its cgroup may learn of it a moment later.
    while (::rmdir(path_.c_str()) != 0 && errno == EBUSY) continue;
  }
  RealCgroup(const RealCgroup&) = delete;
  RealCgroup& operator=(const RealCgroup&) = delete;

  static std::string root() {
    return std::filesystem::exists("/sys/fs/cgroup/cgroup.controllers") ? "/sys/fs/cgroup"
                                                                        : "/sys/fs/cgroup/unified";
  }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string name() const { return path_.substr(root().size()); }
  void take(pid_t pid) const {
    std::ofstream procs(path_ + "/cgroup.procs");
    procs << pid << std::flush;
    REQUIRE(procs.good());
  }

 private:
  std::string path_;
};

void write_pidfile(const std::string& path, pid_t pid) { std::ofstream(path) << pid << "\n"; }

}  // namespace

TEST_CASE("a sandbox named by a pidfile is started again", "[identity]") {
  const testing::ProcTree directory;
  const std::string path = directory.path("x.pid");
  RealHost host;
  host.use({{Kind::pidfile, 0, path}});
  CHECK(host.first().ended());
  testing::Client first(testing::kClientProgram);
  write_pidfile(path, first.pid());
  CHECK(host.becomes(first.pid()));
  CHECK(host.first().pidfd() >= 0);
  CHECK(host.first().root() >= 0);
  first.kill();
  CHECK(host.first().ended() == "the process has ended");
  CHECK(host.becomes(0));
  testing::Client second(testing::kClientProgram);
  write_pidfile(path, second.pid());
  CHECK(host.becomes(second.pid()));
  CHECK_FALSE(host.first().ended());
}

TEST_CASE("a sandbox named by its cgroup is started again", "[identity]") {
  if (::getuid() != 0) SKIP("NOT TESTED: cgroups need root");
  const RealCgroup cgroup, inner(cgroup.path() + "/inner");
  RealHost host;
  host.use({{Kind::cgroup, 0, cgroup.name()}});
  CHECK(host.first().ended().value().find("no process in") != std::string::npos);
  {
    testing::Client first(testing::kClientProgram), second(testing::kClientProgram);
    cgroup.take(second.pid());
    CHECK(host.becomes(second.pid()));
    inner.take(first.pid());
    second.kill();
    CHECK(host.becomes(first.pid()));
  }
  CHECK(host.becomes(0));
}

TEST_CASE("a sandbox named by its container is started again", "[identity]") {
  if (::getuid() != 0) SKIP("NOT TESTED: cgroups need root");
  const RealCgroup parent;
  std::string id(64, 'c');
  id.replace(0, 10, std::to_string(1'000'000'000 + ::getpid()));
  const RealCgroup container(parent.path() + "/docker-" + id + ".scope");
  RealHost host;
  host.use({{Kind::container, 0, id.substr(0, 12)}});
  CHECK(host.first().scope().name() == "container:" + id.substr(0, 12));
  {
    testing::Client first(testing::kClientProgram);
    container.take(first.pid());
    CHECK(host.becomes(first.pid()));
  }
  CHECK(host.becomes(0));
  testing::Client second(testing::kClientProgram);
  container.take(second.pid());
  CHECK(host.becomes(second.pid()));
}

// In a PID namespace of its own: see below.
TEST_CASE("a used number, as the first process", "[.][sandbox-inside]") {
  REQUIRE(::getpid() == 1);
  const testing::ProcTree directory;
  const std::string path = directory.path("x.pid");
  testing::Client first(testing::kClientProgram);
  write_pidfile(path, first.pid());
  RealHost host, by_number;
  host.use({{Kind::pidfile, 0, path}});
  by_number.use({{Kind::pid, first.pid(), {}}});
  REQUIRE(host.first().pid() == first.pid());
  const pid_t pid = first.pid();
  first.kill();
  // proc(5): the number after this one is the next to be given.
  std::ofstream("/proc/sys/kernel/ns_last_pid") << pid - 1 << std::flush;
  testing::Client second(testing::kClientProgram);
  REQUIRE(second.pid() == pid);

  CHECK(host.becomes(0));
  CHECK(host.first().ended().value().find("has not been written since") != std::string::npos);
  by_number.sandboxes->refresh();
  CHECK(by_number.first().ended() == "the process has ended");
  // A Warder that begins only now.
  RealHost late;
  struct stat info {};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  const timespec old[2] = {{info.st_mtim.tv_sec - 1, 0}, {info.st_mtim.tv_sec - 1, 0}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), old, 0) == 0);
  late.use({{Kind::pidfile, 0, path}});
  CHECK(late.first().ended().value().find("is younger than the file") != std::string::npos);
  // Now it is the new one's own.
  write_pidfile(path, pid);
  CHECK(host.becomes(pid));
}

TEST_CASE("a number that was used again is another process", "[identity]") {
  if (::getuid() != 0) SKIP("NOT TESTED: PID namespaces need root");
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  const std::string command =
      "unshare --pid --fork --mount-proc '" + self + "' '[sandbox-inside]' > /dev/null";
  CHECK(std::system(command.c_str()) == 0);  // NOLINT(cert-env33-c)
}

}  // namespace warder::identity
