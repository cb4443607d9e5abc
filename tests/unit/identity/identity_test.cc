#include "identity/identity.h"

#include <catch2/catch_test_macros.hpp>

#include "identity/investigator.h"

namespace warder::identity {
namespace {

Process process(pid_t pid, const std::string& path, FileId image) {
  Process made;
  made.pid = pid;
  made.start_time = 100;
  made.path = path;
  made.binary = path;
  made.image = image;
  return made;
}

const FileId kCurl{1, 10};
const FileId kWget{1, 11};

Identity found(std::vector<Process> processes) {
  Identity identity;
  identity.grade = grade_of(processes, 1);
  identity.inode = 4711;
  identity.processes = std::move(processes);
  return identity;
}

}  // namespace

TEST_CASE("the grade counts programs, not processes", "[identity]") {
  const Process a = process(1, "/usr/bin/curl", kCurl);
  const Process b = process(2, "/usr/bin/curl", kCurl);
  const Process c = process(3, "/usr/bin/wget", kWget);
  CHECK(grade_of({}, 0) == Grade::unresolved);
  CHECK(grade_of({a}, 1) == Grade::exact);
  CHECK(grade_of({a, b}, 1) == Grade::shared);
  CHECK(grade_of({a, c}, 1) == Grade::ambiguous);
  CHECK(grade_of({a}, 2) == Grade::ambiguous);
  CHECK(grade_of({a, b}, 2) == Grade::ambiguous);
}

TEST_CASE("a binary is named only when every holder has the same one", "[identity]") {
  Process a = process(1, "/usr/bin/curl", kCurl);
  Process b = process(2, "/usr/bin/curl", kCurl);
  REQUIRE(found({a, b}).binary() != nullptr);
  CHECK(*found({a, b}).binary() == "/usr/bin/curl");
  CHECK(found({a, process(3, "/usr/bin/wget", kWget)}).binary() == nullptr);
  CHECK(found({}).binary() == nullptr);

  Identity two_sockets = found({a, b});
  two_sockets.grade = Grade::ambiguous;
  CHECK(two_sockets.binary() == nullptr);

  b.binary.reset();
  CHECK(found({a, b}).binary() == nullptr);
  CHECK(found({b, a}).binary() == nullptr);
  b.binary = "/bin/curl";
  CHECK(found({a, b}).binary() == nullptr);
  b = process(2, "/usr/bin/curl", kWget);
  CHECK(found({a, b}).binary() == nullptr);
}

TEST_CASE("the names that are part of the outside", "[identity]") {
  CHECK(name(Grade::ambiguous) == "ambiguous");
  CHECK(name(Assurance::suspect) == "suspect");
  CHECK(name(Cause::unreadable_processes) == "unreadable_processes");
  CHECK(name(Reason::table_unreadable) == "table_unreadable");
  CHECK(Scope{Scope::Kind::pid, 469, {}, 0}.name() == "pid:469");
  CHECK(Scope{}.name() == "global");
}

TEST_CASE("a name that was lost between two looks is a change", "[identity]") {
  Identity before = found({process(7, "/usr/bin/curl", kCurl)});
  before.processes[0].names = {"/bin/curl", "/usr/bin/curl"};
  before.processes[0].names_of = 3;
  Identity now = before;
  now.processes[0].names.push_back("/usr/local/bin/curl");
  CHECK_FALSE(difference(before, now));
  now.processes[0].names = {"/usr/bin/curl"};
  CHECK(difference(before, now)->what ==
        "process 7 (/usr/bin/curl) has not the name any more that it had: /bin/curl");
  // Names that are not asked for any more are not lost: the caller is the same.
  now.processes[0].names_of = 4;
  const auto change = difference(before, now);
  REQUIRE(change);
  CHECK(change->behind);
  CHECK(change->what == "the policy mentions programs by other paths now");
}

TEST_CASE("what changed between two looks is said", "[identity]") {
  const Identity before = found({process(7, "/usr/bin/curl", kCurl)});
  CHECK_FALSE(difference(before, before));

  Identity now = before;
  now.inode = 4712;
  CHECK(difference(before, now)->what == "the socket is another: inode 4712 instead of 4711");

  now = before;
  now.processes[0] = process(7, "/usr/bin/wget", kWget);
  CHECK(difference(before, now)->what ==
        "process 7 runs /usr/bin/wget now instead of /usr/bin/curl");

  now = before;
  now.processes[0].start_time = 200;
  CHECK(difference(before, now)->what ==
        "process 7 (/usr/bin/curl) is another process than before");

  now = before;
  now.processes[0].binary.reset();
  CHECK(difference(before, now));

  // Another program and back: where the kernel counts, it is seen.
  Identity counted = before;
  counted.processes[0].executions = 3;
  CHECK_FALSE(difference(before, counted));
  CHECK_FALSE(difference(counted, before));
  now = counted;
  now.processes[0].executions = 5;
  CHECK(difference(counted, now)->what == "process 7 (/usr/bin/curl) has executed a program since");

  const Identity both =
      found({process(7, "/usr/bin/curl", kCurl), process(8, "/usr/bin/curl", kCurl)});
  CHECK(difference(before, both)->what == "process 8 (/usr/bin/curl) holds the socket too now");
  CHECK(difference(both, before)->what == "process 8 (/usr/bin/curl) holds the socket no longer");

  now = before;
  now.grade = Grade::ambiguous;
  CHECK(difference(before, now)->what == "the grade is ambiguous instead of exact");

  Identity gone;
  gone.reason = Reason::client_gone;
  CHECK(difference(before, gone)->closed);
  gone.reason = Reason::process_gone;
  CHECK(difference(before, gone)->closed);
  gone.inode = before.inode;
  CHECK_FALSE(difference(before, gone)->closed);
  gone.reason = Reason::raced;
  CHECK_FALSE(difference(before, gone)->closed);
  CHECK_FALSE(difference(before, gone)->not_looked);
  gone.reason = Reason::lookup_failed;
  CHECK(difference(before, gone)->not_looked);
  CHECK(difference(gone, before));
  CHECK(difference(gone, gone));
}

TEST_CASE("less sure than before is a change, surer is none", "[identity]") {
  Identity before = found({process(7, "/usr/bin/curl", kCurl)});
  before.assurance = Assurance::proven;
  before.processes[0].roles = {Role::connector, Role::holder};
  CHECK_FALSE(difference(before, before));
  Identity now = before;
  now.assurance = Assurance::suspect;
  now.causes = {Cause::hidden_holder};
  CHECK(difference(before, now)->what == "the assurance is suspect now: hidden_holder");
  CHECK_FALSE(difference(now, before));

  now = before;
  now.processes[0].roles = {Role::holder};
  CHECK(difference(before, now)->what ==
        "process 7 (/usr/bin/curl) is not known any more to have connected");
  now = before;
  now.processes[0].roles = {Role::connector};
  CHECK(difference(before, now)->what == "process 7 (/usr/bin/curl) let go of the socket");
  now = before;
  now.processes.push_back(process(8, "/usr/bin/wget", kWget));
  now.processes[1].roles = {Role::connector};
  CHECK(difference(before, now)->what == "process 8 (/usr/bin/wget) connected");
}

TEST_CASE("another program behind a relay is a change", "[identity]") {
  Identity before = found({process(7, "/usr/bin/socat", kCurl)});
  Identity now = before;
  now.relays = true;
  CHECK(difference(before, now)->what == "connections of other programs lead to it now");
  before = now;
  now.via = {process(8, "/usr/bin/wget", kWget)};
  CHECK(difference(before, now)->what == "process 8 (/usr/bin/wget) is behind it now");
  before = now;
  now.via.push_back(process(9, "/usr/bin/wget", kWget));
  CHECK_FALSE(difference(before, now));
  now.via_complete = false;
  CHECK(difference(before, now)->what == "not all programs behind it are known now");
  CHECK(difference(before, now)->behind);
  // Told once, they are no change any more, whether they are still there or not.
  keep_relayed(before, now);
  Identity later = now;
  later.via.clear();
  CHECK_FALSE(difference(now, later));
  keep_relayed(now, later);
  CHECK(later.via == now.via);
  CHECK_FALSE(later.via_complete);
}

TEST_CASE("programs that come and go behind a relay are told of up to a limit", "[identity]") {
  Identity caller = found({process(7, "/usr/bin/socat", kCurl)});
  caller.relays = true;
  const auto after_one_more = [&](pid_t pid, const std::string& path) {
    Identity now = caller;
    now.via = {process(pid, path, kWget)};
    now.via_complete = true;
    keep_relayed(caller, now);
    caller = now;
  };
  SECTION("of programs") {
    for (pid_t pid = 100; pid < 164; ++pid) after_one_more(pid, "/usr/bin/wget");
    CHECK(caller.via.size() == 64);
    CHECK(caller.via_complete);
    after_one_more(164, "/usr/bin/wget");
    CHECK(caller.via.size() == 64);
    CHECK(caller.via.front().pid == 164);
  }
  SECTION("of bytes in their paths, of which each has two") {
    const std::string path = "/" + std::string(4095, 'x');
    for (pid_t pid = 100; pid < 108; ++pid) after_one_more(pid, path);
    CHECK(caller.via.size() == 8);
    CHECK(caller.via_complete);
    after_one_more(108, path);
    CHECK(caller.via.size() == 8);
  }
  CHECK_FALSE(caller.via_complete);
}

}  // namespace warder::identity
