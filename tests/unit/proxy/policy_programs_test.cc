#include "proxy/policy_programs.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <string>
#include <vector>

#include "identity/proc_fs.h"
#include "tests/support/proc_tree.h"

namespace warder::proxy {
namespace {

// A sandbox's root. Its files belong to root, or to whoever runs the tests.
struct Sandbox {
  testing::ProcTree tree;
  std::vector<PolicyBinary> binaries;
  Writer writer = anybody();

  Sandbox() {
    for (const char* program : {"usr/bin/curl", "usr/bin/python3.11", "usr/bin/git"})
      make(program,
           "\x7f"
           "ELF");
    make("usr/bin/pip3", "#!/usr/bin/python3 -I\nimport sys\n");
    tree.link("usr/bin/python3", "python3.11");
    tree.link("bin", "usr/bin");
  }
  void make(const std::string& path, std::string_view text, mode_t mode = 0755) const {
    tree.write(path, text);
    REQUIRE(::chmod(tree.path(path).c_str(), mode) == 0);
  }
  std::vector<ProgramReport> look() const {
    const auto root = identity::open_directory(AT_FDCWD, tree.root());
    REQUIRE(root);
    return look_at_programs(root->get(), binaries, writer);
  }
  ProgramReport look(const std::string& path, bool descendants = false) {
    binaries = {{"network_policies/web/binaries/0", path, descendants}};
    const auto reports = look();
    REQUIRE(reports.size() == 1);
    return reports[0];
  }
};

bool warns(const ProgramReport& report, std::string_view text) {
  return std::any_of(report.warnings.begin(), report.warnings.end(),
                     [&](const std::string& one) { return one.find(text) != std::string::npos; });
}

}  // namespace

TEST_CASE("a program is what its path leads to under the root") {
  Sandbox sandbox;
  const ProgramReport curl = sandbox.look("/bin/curl");
  CHECK(curl.resolves_to == "/usr/bin/curl");
  CHECK(curl.links == std::vector<std::string>{"/bin -> usr/bin"});
  CHECK(curl.warnings.empty());
  CHECK(sandbox.look("/usr/bin/curl").links.empty());
}

TEST_CASE("programs that run whatever they are told to are warned of") {
  Sandbox sandbox;
  CHECK(warns(sandbox.look("/usr/bin/python3"), "/usr/bin/python3.11 runs whatever it is told to"));
  for (const char* name : {"bash", "busybox", "env", "node", "perl5.36.0", "ruby3.1", "xargs"}) {
    sandbox.make("usr/bin/" + std::string(name), "x");
    CHECK(warns(sandbox.look("/usr/bin/" + std::string(name)), "runs whatever"));
  }
  for (const char* name : {"ld-linux-aarch64.so.1", "ld-linux-x86-64.so.2", "ld-linux.so.2",
                           "ld-musl-x86_64.so.1", "ld64.so.2", "ld.so", "ld-2.31.so"}) {
    sandbox.make("usr/lib/" + std::string(name), "x");
    CHECK(warns(sandbox.look("/usr/lib/" + std::string(name)), "runs whatever"));
  }
  for (const char* name : {"ld", "ld.bfd", "ldconfig", "ld-notes"}) {
    sandbox.make("usr/bin/" + std::string(name), "x");
    CHECK(sandbox.look("/usr/bin/" + std::string(name)).warnings.empty());
  }
  sandbox.make("usr/bin/envelope", "x");
  CHECK(sandbox.look("/usr/bin/envelope").warnings.empty());
}

TEST_CASE("who calls in a program's place is told") {
  Sandbox sandbox;
  std::string names;
  for (const RealCaller& known : kRealCallers) {
    const std::string name(known.name);
    names += name + " ";
    sandbox.make("opt/" + name + "/bin/" + name, "x");
    const std::string told = name + " does not connect itself: who calls is ";
    for (const std::string& listed : {"/opt/" + name + "/bin/" + name, "/opt/" + name + "/bin/*"})
      CHECK(warns(sandbox.look(listed), told + std::string(known.caller)));
  }
  CHECK(names == "apt apt-get aptitude docker git scp ");
  CHECK(warns(sandbox.look("/usr/bin/gi*"), "who calls is /usr/lib/git-core/git-remote-http"));
  // What starts a caller need not connect.
  sandbox.binaries = {{"a", "/usr/bin/curl", false, {"/usr/bin/git", "/usr/bin/gi*"}}};
  for (const ProgramReport& report : sandbox.look()) CHECK(report.warnings.empty());
  CHECK_FALSE(warns(sandbox.look("/usr/bin/git"), "descendants"));
  CHECK(warns(sandbox.look("/usr/bin/git", true), "with descendants"));
  const ProgramReport pip = sandbox.look("/usr/bin/pip3");
  CHECK(warns(pip, "is a script: the kernel runs its interpreter (/usr/bin/python3 -I)"));
}

TEST_CASE("paths that lead nowhere are warned of") {
  Sandbox sandbox;
  sandbox.tree.link("usr/bin/dangling", "/nowhere");
  sandbox.tree.link("usr/bin/out", "../../../../../../../etc/passwd");
  CHECK(warns(sandbox.look("/usr/bin/nothing"), "no such program"));
  CHECK(warns(sandbox.look("/usr/bin/dangling"), "no such program"));
  CHECK(warns(sandbox.look("/usr/bin/out"), "no such program"));
  CHECK(warns(sandbox.look("/usr/bin"), "not a regular file"));
}

TEST_CASE("what the sandbox's user can change is warned of") {
  Sandbox sandbox;
  REQUIRE(::chmod(sandbox.tree.root().c_str(), 0755) == 0);
  sandbox.writer = *parse_user("54321");
  CHECK_FALSE(warns(sandbox.look("/usr/bin/curl"), "may write"));
  sandbox.make("usr/bin/open", "x", 0757);
  CHECK(warns(sandbox.look("/usr/bin/open"), "user 54321 may write to /usr/bin/open"));
  sandbox.make("srv/bin/tool", "x");
  sandbox.tree.link("srv/bin/link", "/usr/bin/curl");
  REQUIRE(::chmod(sandbox.tree.path("srv/bin").c_str(), 0777) == 0);
  CHECK(warns(sandbox.look("/srv/bin/tool"), "may write to /srv/bin/tool"));
  CHECK(warns(sandbox.look("/srv/bin/link"), "another link into the place of /srv/bin/link"));
  // A program may take the script's place.
  sandbox.make("usr/bin/run", "#!/bin/sh\n", 0757);
  CHECK(warns(sandbox.look("/usr/bin/run"), "may write to /usr/bin/run"));
  CHECK(warns(sandbox.look("/usr/bin/ru*"), "may write to /usr/bin/run"));
}

TEST_CASE("what anybody can change is warned of, without a user too") {
  Sandbox sandbox;
  REQUIRE(::chmod(sandbox.tree.root().c_str(), 0755) == 0);
  CHECK(sandbox.look("/bin/curl").warnings.empty());
  sandbox.make("usr/bin/group", "x", 0775);
  CHECK(sandbox.look("/usr/bin/group").warnings.empty());
  sandbox.make("usr/bin/open", "x", 0757);
  CHECK(warns(sandbox.look("/usr/bin/open"), "anybody may write to /usr/bin/open"));
  sandbox.make("srv/bin/tool", "x");
  sandbox.tree.link("srv/bin/link", "/usr/bin/curl");
  REQUIRE(::chmod(sandbox.tree.path("srv/bin").c_str(), 01777) == 0);
  CHECK(sandbox.look("/srv/bin/tool").warnings.empty());
  CHECK(sandbox.look("/srv/bin/link").warnings.empty());
  REQUIRE(::chmod(sandbox.tree.path("srv/bin").c_str(), 0777) == 0);
  CHECK(warns(sandbox.look("/srv/bin/tool"), "anybody may write to /srv/bin/tool"));
  CHECK(warns(sandbox.look("/srv/bin/link"), "anybody may put another link into the place of"));
}

TEST_CASE("an entry with a sha256 needs none") {
  Sandbox sandbox;
  sandbox.make("srv/tool", "x");
  sandbox.tree.link("srv/link", "tool");
  REQUIRE(::chmod(sandbox.tree.path("srv").c_str(), 0777) == 0);
  sandbox.binaries = {{"a", "/srv/tool", false, {}, true}, {"b", "/srv/link", false, {}, true}};
  for (const ProgramReport& report : sandbox.look()) CHECK(report.warnings.empty());
  sandbox.binaries.push_back({"c", "/srv/tool", false});
  const auto reports = sandbox.look();
  CHECK(reports[0].warnings.empty());
  CHECK(warns(reports[1], "only a sha256 tells what runs, and c has none"));
}

TEST_CASE("what starts a caller can be changed too") {
  Sandbox sandbox;
  REQUIRE(::chmod(sandbox.tree.root().c_str(), 0755) == 0);
  sandbox.make("srv/bash", "x");
  sandbox.make("srv/run", "#!/bin/sh\n");
  sandbox.tree.link("srv/link", "bash");
  sandbox.binaries = {
      {"a", "/usr/bin/curl", false, {"/srv/bash", "/srv/run", "/srv/link", "/srv/b*"}, true}};
  for (const ProgramReport& report : sandbox.look())
    CHECK(report.warnings.size() == (report.path == "/srv/link" ? 1 : 0));
  REQUIRE(::chmod(sandbox.tree.path("srv").c_str(), 0777) == 0);
  std::map<std::string, ProgramReport> reports;
  for (ProgramReport& report : sandbox.look()) reports[report.path] = report;
  const std::string may = "anybody may write to /srv/bash, or put another file into its place: ";
  CHECK(reports["/srv/bash"].warnings ==
        std::vector<std::string>{may + "whatever is there then satisfies a/started_by"});
  CHECK(reports["/srv/b*"].warnings == reports["/srv/bash"].warnings);
  CHECK(warns(reports["/srv/run"], "whatever is there then satisfies a/started_by"));
  CHECK_FALSE(warns(reports["/srv/run"], "is a script"));
  CHECK(warns(reports["/srv/link"], "anybody may put another link into the place of /srv/link"));
  CHECK(reports["/usr/bin/curl"].warnings.empty());
}

TEST_CASE("patterns are compared with paths without links") {
  Sandbox sandbox;
  sandbox.make("usr/lib/apt/methods/http", "x");
  sandbox.make("usr/lib/data", "x", 0644);
  CHECK(sandbox.look("/usr/bin/c*").matches == std::vector<std::string>{"/usr/bin/curl"});
  CHECK(sandbox.look("/usr/**/http").matches ==
        std::vector<std::string>{"/usr/lib/apt/methods/http"});
  CHECK(warns(sandbox.look("/usr/*/http"), "matches no file"));
  CHECK(warns(sandbox.look("/usr/lib/*"), "matches no file"));
  CHECK(warns(sandbox.look("/nowhere/*"), "matches no file"));
  CHECK(warns(sandbox.look("/bin/*"), "/bin is reached by a link (/bin -> usr/bin)"));
  CHECK(warns(sandbox.look("/usr/bin/p*"), "/usr/bin/python3.11 runs whatever"));
  CHECK_FALSE(warns(sandbox.look("/usr/bin/pi*"), "script"));
}

TEST_CASE("each path is looked at once") {
  Sandbox sandbox;
  sandbox.binaries = {{"a", "/usr/bin/git", false},
                      {"b", "/usr/bin/curl", false},
                      {"c", "/usr/bin/git", true},
                      {"d", "", false}};
  const auto reports = sandbox.look();
  REQUIRE(reports.size() == 2);
  CHECK(reports[0].path == "/usr/bin/curl");
  CHECK(reports[1].entries == 2);
  CHECK(reports[1].first_entry == "a");
  CHECK(warns(reports[1], "with descendants (c)"));
}

TEST_CASE("those that start a caller are named as the kernel names them") {
  Sandbox sandbox;
  sandbox.make("usr/bin/bash", "x");
  sandbox.binaries = {
      {"a", "/usr/bin/curl", false, {"/bin/bash", "/usr/bin/bash", "/usr/bin/ba*", "/bin/ba*"}},
      {"b", "/usr/bin/git", false, {"/usr/bin/nothing"}},
      {"c", "/usr/bin/python3", true}};
  std::map<std::string, ProgramReport> reports;
  for (ProgramReport& report : sandbox.look()) reports[report.path] = report;
  REQUIRE(reports.size() == 8);
  CHECK(reports["/bin/bash"].first_entry == "a/started_by");
  CHECK(reports["/bin/bash"].warnings ==
        std::vector<std::string>{"what starts others (a/started_by) is compared with the kernel's "
                                 "paths, which have no links: write /usr/bin/bash"});
  // That it runs whatever it is told to doesn't matter here.
  CHECK(reports["/usr/bin/bash"].warnings.empty());
  CHECK(reports["/usr/bin/ba*"].matches == std::vector<std::string>{"/usr/bin/bash"});
  CHECK(reports["/usr/bin/ba*"].warnings.empty());
  CHECK(warns(reports["/bin/ba*"], "/bin is reached by a link"));
  CHECK(warns(reports["/usr/bin/nothing"], "no such program"));
  CHECK(warns(reports["/usr/bin/python3"], "what starts others (c) is compared"));
  CHECK(warns(reports["/usr/bin/python3"], "write /usr/bin/python3.11"));
  // As a caller it has its names.
  CHECK_FALSE(warns(sandbox.look("/usr/bin/python3"), "what starts others"));
}

TEST_CASE("stars in patterns of paths") {
  CHECK(matches_path("/usr/bin/*", "/usr/bin/curl"));
  CHECK_FALSE(matches_path("/usr/*", "/usr/bin/curl"));
  CHECK(matches_path("/usr/**", "/usr/bin/curl"));
  CHECK(matches_path("/**/curl", "/usr/bin/curl"));
  CHECK(matches_path("/usr/*in/c*l", "/usr/bin/curl"));
  CHECK_FALSE(matches_path("/usr/bin/c*", "/usr/bin/wget"));
  CHECK_FALSE(matches_path("/usr/bin", "/usr/bin/curl"));
}

}  // namespace warder::proxy
