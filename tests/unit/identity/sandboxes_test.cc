#include "identity/sandboxes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <ctime>

#include "identity/proc_fs.h"
#include "tests/support/proc_tree.h"

namespace warder::identity {
namespace {

using SandboxKind = SandboxSpec::Kind;

const std::string kContainerId = "4f5a1c0de9b8a7766554433221100ffeeddccbbaa99887766554433221100ff0";
const std::string kOther = "4f5a1c0de9b8a0000004433221100ffeeddccbbaa99887766554433221100ff0";

struct Host {
  testing::ProcTree tree;
  net::UniqueFd root;
  std::unique_ptr<Sandboxes> sandboxes;

  Host() { root = std::move(*open_directory(AT_FDCWD, tree.root())); }

  [[nodiscard]] SandboxPlaces places() const { return {root.get(), tree.path("cgroup")}; }
  void process(pid_t pid, std::uint64_t start_time, const std::string& cgroup = "/") const {
    tree.process(pid, 1, start_time, "/bin/sh");
    tree.write(std::to_string(pid) + "/cgroup", "0::" + cgroup + "\n");
  }
  void use(SandboxKind kind, const std::string& value) {
    auto made = Sandboxes::open(places(), std::vector<SandboxSpec>{{kind, 0, value}});
    REQUIRE(made);
    sandboxes = std::move(*made);
  }
  [[nodiscard]] const Sandbox& only() const { return sandboxes->list().front(); }
  // Refreshes until it is that process; false when it isn't within ten seconds.
  [[nodiscard]] bool becomes(pid_t pid) const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    do sandboxes->refresh();
    while (only().pid() != pid && std::chrono::steady_clock::now() < end);
    return only().pid() == pid;
  }
  [[nodiscard]] Result<Sandbox> find(SandboxKind kind, const std::string& value) const {
    return find_sandbox(places(), {kind, 0, value});
  }
};

void write_time(const std::string& path, std::int64_t seconds) {
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  REQUIRE(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
}

std::int64_t boot_time() {
  timespec real{}, boot{};
  ::clock_gettime(CLOCK_REALTIME, &real);
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  return real.tv_sec - boot.tv_sec;
}

}  // namespace

TEST_CASE("what a sandbox may be called", "[identity]") {
  CHECK(check({SandboxKind::pid, 1, {}}));
  CHECK_FALSE(check({SandboxKind::pid, 0, {}}));
  CHECK(check({SandboxKind::pidfile, 0, "/run/x.pid"}));
  CHECK_FALSE(check({SandboxKind::pidfile, 0, "x.pid"}));
  CHECK_FALSE(check({SandboxKind::pidfile, 0, ""}));
  for (const char* const good : {"/", "/a", "/a.slice/b:c", "/a/..b"})
    CHECK(check({SandboxKind::cgroup, 0, good}));
  for (const char* const bad : {"", "a", "/a/", "/a//b", "/..", "/a/../b", "/a/.", "/a/.."})
    CHECK_FALSE(check({SandboxKind::cgroup, 0, bad}));
  CHECK(check({SandboxKind::container, 0, kContainerId}));
  CHECK(check({SandboxKind::container, 0, kContainerId.substr(0, 12)}));
  for (const std::string& bad : {std::string(), kContainerId.substr(0, 11), kContainerId + "0",
                                 "4F5A" + kContainerId.substr(4), kContainerId.substr(1) + "g"})
    CHECK_FALSE(check({SandboxKind::container, 0, bad}));
  Host host;
  const auto made = Sandboxes::open(host.places(),
                                    std::vector<SandboxSpec>{{SandboxKind::container, 0, "short"}});
  REQUIRE_FALSE(made);
  CHECK(made.error().code == Errc::bad_config);
  CHECK(made.error().detail.starts_with("sandbox container:short: "));
}

TEST_CASE("a sandbox that isn't there yet says so", "[identity]") {
  Host host;
  host.use(SandboxKind::pidfile, host.tree.path("x.pid"));
  CHECK(host.only().pid() == 0);
  CHECK(host.only().ended().value().starts_with("no such process yet: "));
  CHECK(host.only().scope().name() == "pidfile:" + host.tree.path("x.pid"));
  CHECK(host.only().scope().pid == 0);
  const Sandbox* const place = &host.only();

  host.process(469, 100);
  host.tree.write("x.pid", "469\n");
  CHECK(host.becomes(469));
  CHECK_FALSE(host.only().ended());
  CHECK(host.only().scope().pid == 469);
  CHECK(&host.only() == place);

  // It ends, and another has its number: that one is younger than the file.
  host.process(469, 200'000'000'000);
  CHECK(host.only().ended() == "its number belongs to another process now");
  CHECK(host.becomes(0));
  CHECK(host.only().ended().value().find("is younger than the file") != std::string::npos);
  CHECK(host.only().directory() == -1);
}

TEST_CASE("a pidfile that names another process, after a second at most", "[identity]") {
  Host host;
  host.process(469, 100);
  host.process(470, 100);
  host.tree.write("x.pid", "469");
  host.use(SandboxKind::pidfile, host.tree.path("x.pid"));
  CHECK(host.only().pid() == 469);
  host.tree.write("x.pid", "470");
  CHECK(host.becomes(470));
  // One that makes no sense changes nothing.
  host.tree.write("x.pid", "none");
  host.sandboxes->refresh();
  CHECK(host.only().pid() == 470);
}

TEST_CASE("a pidfile is believed only so far", "[identity]") {
  Host host;
  const std::string path = host.tree.path("x.pid");
  host.process(469, 1000);  // ten seconds after the boot
  host.tree.write("x.pid", "469");
  CHECK(host.find(SandboxKind::pidfile, path)->pid() == 469);
  write_time(path, boot_time() + 12);
  CHECK(host.find(SandboxKind::pidfile, path));
  write_time(path, boot_time() + 8);
  CHECK(host.find(SandboxKind::pidfile, path).error().detail.find("younger") != std::string::npos);
  for (const char* const text : {"", "469 ", "469\n470\n", "-1", "self"}) {
    host.tree.write("x.pid", text);
    CHECK(host.find(SandboxKind::pidfile, path).error().code == Errc::not_found);
  }
  host.tree.write("x.pid", std::string(64, '1'));
  CHECK_FALSE(host.find(SandboxKind::pidfile, path));
  host.tree.directory("directory");
  CHECK_FALSE(host.find(SandboxKind::pidfile, host.tree.path("directory")));
  REQUIRE(::mkfifo(host.tree.path("fifo").c_str(), 0600) == 0);
  CHECK_FALSE(host.find(SandboxKind::pidfile, host.tree.path("fifo")));
}

TEST_CASE("the oldest process of a cgroup", "[identity]") {
  Host host;
  host.process(469, 300, "/a/b");
  host.process(470, 200, "/a/b/c");
  host.process(471, 100, "/other");
  SECTION("version 2") {
    host.tree.write("cgroup/cgroup.controllers", "");
    host.tree.write("cgroup/a/b/cgroup.procs", "0\n469\n");
    host.tree.write("cgroup/a/b/c/cgroup.procs", "470\n");
    host.tree.write("cgroup/a/cgroup.procs", "471\n");
  }
  SECTION("version 1") {
    host.tree.write("cgroup/memory/a/b/cgroup.procs", "469\n470\n");
    host.tree.write("cgroup/systemd/other/cgroup.procs", "471\n");
  }
  SECTION("both") {
    host.tree.write("cgroup/memory/a/b/cgroup.procs", "471\n");
    host.tree.write("cgroup/unified/a/b/c/cgroup.procs", "469\n470\n");
  }
  CHECK(host.find(SandboxKind::cgroup, "/a/b")->pid() == 470);
  CHECK(host.find(SandboxKind::cgroup, "/a/b/c/d").error().code == Errc::not_found);
  CHECK(host.find(SandboxKind::cgroup, "/a/b ").error().code == Errc::not_found);
  // It has gone elsewhere since, or its number is another's.
  host.process(470, 200, "/a/bc");
  CHECK(host.find(SandboxKind::cgroup, "/a/b").error().code == Errc::not_found);
  host.tree.remove("470");
  CHECK(host.find(SandboxKind::cgroup, "/a/b")->pid() == 469);
}

TEST_CASE("the oldest process of a container", "[identity]") {
  Host host;
  host.process(468, 50, "/docker/" + kOther);
  host.process(469, 300, "/docker/" + kContainerId);
  host.process(470, 200, "/docker/" + kContainerId + "/inner");
  host.process(471, 100,
               "/docker/" + kOther + "/docker/" + kContainerId);  // a container in a container
  host.tree.write("472/cgroup", "0::/docker/" + kContainerId);    // no stat any more
  CHECK(host.find(SandboxKind::container, kContainerId)->pid() == 470);
  CHECK(host.find(SandboxKind::container, kOther)->pid() == 468);
  CHECK(host.find(SandboxKind::container, kContainerId.substr(0, 14))->pid() == 470);
  // What both begin with names neither.
  CHECK(host.find(SandboxKind::container, kContainerId.substr(0, 13))
            .error()
            .detail.starts_with("several"));
  CHECK_FALSE(host.find(SandboxKind::container, std::string(64, '0')));
  // Somebody has made a cgroup with the same name.
  host.process(473, 10, "/user.slice/docker-" + kContainerId + ".scope");
  CHECK(host.find(SandboxKind::container, kContainerId).error().detail.starts_with("several"));
}

TEST_CASE("a container that is started again", "[identity]") {
  Host host;
  host.process(469, 100, "/docker/" + kContainerId);
  host.use(SandboxKind::container, kContainerId.substr(0, 12 + 3));
  CHECK(host.only().pid() == 469);
  host.tree.remove("469");
  CHECK(host.only().ended() == "the process has ended");
  CHECK(host.becomes(0));
  host.process(500, 400, "/docker/" + kContainerId);
  CHECK(host.becomes(500));
}

TEST_CASE("of a process named by its number there is no other", "[identity]") {
  Host host;
  host.process(469, 100);
  auto made = Sandboxes::open(host.places(), std::vector<SandboxSpec>{{SandboxKind::pid, 469, {}}});
  REQUIRE(made);
  host.sandboxes = std::move(*made);
  host.process(469, 200);
  host.sandboxes->refresh();
  CHECK(host.only().ended() == "its number belongs to another process now");
  CHECK(host.only().scope().name() == "pid:469");
  made = Sandboxes::open(host.places(), std::vector<SandboxSpec>{{SandboxKind::pid, 500, {}}});
  REQUIRE_FALSE(made);
  CHECK(made.error().code == Errc::not_found);
}

}  // namespace warder::identity
