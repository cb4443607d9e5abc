#include "identity/host_resolver.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <fstream>
#include <functional>
#include <thread>

#include "identity/investigator.h"
#include "tests/component/identity/client.h"
#include "tests/support/loop_fixture.h"

namespace warder::identity {
namespace {

class ResolverTest : public testing::LoopFixture {
 public:
  ResolverTest() { use(); }
  void use(HostResolverOptions options = {}) {
    auto made = make_host_resolver(std::move(options));
    REQUIRE(made);
    resolver_ = std::move(made->resolver);
  }
  Resolver& resolver() { return *resolver_; }
  Identity look(const Connection& connection) {
    std::optional<Identity> identity;
    const auto lookup =
        resolver_->start(connection, loop(), [&](Identity found) { identity = std::move(found); });
    CHECK_FALSE(identity);
    REQUIRE(run_until([&] { return identity.has_value(); }));
    UNSCOPED_INFO(identity->detail);
    return *identity;
  }
  std::optional<std::string> confirm(const Connection& connection, const Identity& before) {
    bool done = false;
    std::optional<std::string> changed;
    const auto lookup =
        resolver_->confirm(connection, before, loop(), [&](std::optional<Change> change) {
          if (change) changed = std::move(change->what);
          done = true;
        });
    REQUIRE(run_until([&] { return done; }));
    UNSCOPED_INFO("changed: " << changed.value_or("nothing"));
    return changed;
  }

  // Whether the answer was there before anything but the loop ran.
  bool is_told_at_once(const Connection& connection, const Identity& expected) {
    std::vector<std::optional<Change>> changes;
    const auto lookup = resolver_->start(connection, loop(), [&](const Identity& found) {
      changes.push_back(difference(expected, found));
    });
    const auto confirmation = resolver_->confirm(
        connection, expected, loop(),
        [&](std::optional<Change> change) { changes.push_back(std::move(change)); });
    loop().run_once_nowait();
    const bool told = changes.size() == 2;
    REQUIRE(run_until([&] { return changes.size() == 2; }));
    for (const auto& change : changes) {
      UNSCOPED_INFO((change ? change->what : "no change"));
      CHECK_FALSE(change);
    }
    return told;
  }

 private:
  std::unique_ptr<Resolver> resolver_;
};

bool has_cause(const Identity& identity, Cause cause) {
  return std::find(identity.causes.begin(), identity.causes.end(), cause) != identity.causes.end();
}

std::vector<pid_t> pids(const Identity& identity) {
  std::vector<pid_t> list;
  for (const Process& process : identity.processes) list.push_back(process.pid);
  return list;
}

pid_t child_of(const std::string& answer) {
  REQUIRE(answer.starts_with("ok "));
  return static_cast<pid_t>(std::stol(answer.substr(3)));
}

// Everything of the answer is checked in one place.
void check_exact(const Identity& identity, const testing::Client& client,
                 const std::string& program, Assurance assurance = Assurance::proven) {
  REQUIRE(identity.grade == Grade::exact);
  CHECK(identity.assurance == assurance);
  CHECK_FALSE(identity.reason);
  REQUIRE(identity.processes.size() == 1);
  const Process& process = identity.processes.front();
  CHECK(process.pid == client.pid());
  CHECK(process.uid == ::getuid());
  CHECK(process.start_time > 0);
  CHECK(process.path == program);
  INFO(process.sha256_missing);
  CHECK(process.sha256.value_or("").size() == 64);
  CHECK_FALSE(process.deleted);
  struct stat info {};
  REQUIRE(::stat(program.c_str(), &info) == 0);
  CHECK(process.image == FileId{info.st_dev, info.st_ino});
  REQUIRE(!process.ancestors.empty());
  CHECK(process.ancestors.front() == std::filesystem::read_symlink("/proc/self/exe").string());
  REQUIRE(identity.binary() != nullptr);
  CHECK(*identity.binary() == program);
}

}  // namespace

TEST_CASE_METHOD(ResolverTest, "one program holds the connection", "[identity]") {
  testing::Client client(testing::kClientProgram);
  const std::string address = GENERATE("127.0.0.1", "::1");
  testing::Gate gate(address);
  const Connection connection = gate.let_in(client);
  const Identity identity = look(connection);
  check_exact(identity, client, testing::kClientProgram);
  CHECK(identity.scope->name() == "global");
  CHECK(identity.inode > 0);
  CHECK(identity.detail.starts_with("global: inode " + std::to_string(identity.inode)));
  CHECK_FALSE(confirm(connection, identity));
}

TEST_CASE_METHOD(ResolverTest, "what is known already is told at once, by whatever thread asks",
                 "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  const Identity identity = look(connection);
  // Not while another look has just taken long: this machine has others to serve.
  bool told = false;
  for (int i = 0; i < 1000 && !told; ++i) told = is_told_at_once(connection, identity);
  CHECK(told);
  // Some are the thread's and some are not, of several loops, and all are right.
  std::vector<std::unique_ptr<net::Loop>> loops(3);
  for (auto& one : loops) one = std::make_unique<net::Loop>();
  std::atomic<int> right{0};
  std::vector<std::thread> workers;
  workers.reserve(loops.size());
  for (const auto& one : loops)
    workers.emplace_back([&, own = one.get()] {
      std::unique_ptr<Lookup> lookup;
      int left = 200;
      std::function<void()> next = [&] {
        if (left-- == 0) return own->stop();
        lookup = resolver().start(connection, *own, [&](const Identity& found) {
          if (found.assurance == Assurance::proven && !difference(identity, found)) ++right;
          own->post(next);
        });
      };
      own->post(next);
      own->run();
    });
  for (std::thread& worker : workers) worker.join();
  CHECK(right == 600);
}

TEST_CASE_METHOD(ResolverTest, "the client speaks IPv4 through an IPv6 socket", "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client, "connect-mapped");
  check_exact(look(connection), client, testing::kClientProgram);
  // As a listener on :: sees it.
  const auto mapped = [](const net::Endpoint& end) {
    return net::Endpoint{end.address.mapped(), end.port};
  };
  check_exact(look({mapped(connection.client), mapped(connection.proxy), {}}), client,
              testing::kClientProgram);
}

TEST_CASE_METHOD(ResolverTest, "a half-closed client is still there", "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  REQUIRE(client.tell("shutdown") == "ok");
  check_exact(look(connection), client, testing::kClientProgram);
}

TEST_CASE_METHOD(ResolverTest, "the proxy's own end of the connection is nobody's", "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  const Identity identity = look(connection);
  struct stat info {};
  REQUIRE(::fstat(gate.accepted(), &info) == 0);
  CHECK(identity.inode != info.st_ino);
  CHECK(pids(identity) == std::vector<pid_t>{client.pid()});
}

TEST_CASE_METHOD(ResolverTest, "a sandbox that shares our network namespace", "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  HostResolverOptions options;
  options.sandboxes = {{SandboxSpec::Kind::pid, client.pid(), {}}};
  const Connection connection = gate.let_in(client);
  use(std::move(options));
  Identity identity = look(connection);
  check_exact(identity, client, testing::kClientProgram,
              Assurance::observed);  // connected before the record began
  CHECK(identity.scope->name() == "pid:" + std::to_string(client.pid()));
  CHECK(identity.searched.size() == 2);

  client.kill();
  identity = look(connection);
  CHECK(identity.grade == Grade::unresolved);
  CHECK(identity.searched.front().outcome == "the process has ended");
}

TEST_CASE_METHOD(ResolverTest, "a fork shares it", "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  const pid_t child = child_of(client.tell("fork"));
  const Identity identity = look(connection);
  CHECK(identity.grade == Grade::shared);
  CHECK(pids(identity) ==
        std::vector<pid_t>{std::min(client.pid(), child), std::max(client.pid(), child)});
  REQUIRE(identity.binary() != nullptr);
  CHECK(*identity.binary() == testing::kClientProgram);
}

TEST_CASE_METHOD(ResolverTest, "a child of another program makes it ambiguous", "[identity]") {
  const testing::ProgramCopy other("other");
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  const Identity before = look(connection);
  const pid_t child = child_of(client.tell("fork " + other.path()));
  const Identity identity = look(connection);
  CHECK(identity.grade == Grade::ambiguous);
  REQUIRE(identity.processes.size() == 2);
  CHECK(identity.binary() == nullptr);
  CHECK_FALSE(identity.reason);
  for (const Process& process : identity.processes)
    CHECK(process.binary == (process.pid == child ? other.path() : testing::kClientProgram));
  CHECK(confirm(connection, before) ==
        "process " + std::to_string(child) + " (" + other.path() + ") holds the socket too now");
}

TEST_CASE_METHOD(ResolverTest, "a process whose first thread has ended", "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  REQUIRE(client.tell("leave-first-thread") == "ok");
  check_exact(look(connection), client, testing::kClientProgram);
}

TEST_CASE_METHOD(ResolverTest, "a thread with a descriptor table of its own", "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  check_exact(look(gate.let_in(client, "connect-apart")), client, testing::kClientProgram);
}

TEST_CASE_METHOD(ResolverTest, "the client has closed, or ended", "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  const Identity before = look(connection);
  SECTION("closed") { REQUIRE(client.tell("close") == "ok"); }
  SECTION("ended") { client.kill(); }
  const Identity identity = look(connection);
  CHECK(identity.grade == Grade::unresolved);
  CHECK(identity.reason == Reason::client_gone);
  CHECK(identity.processes.empty());
  CHECK(identity.binary() == nullptr);
  CHECK(identity.searched.front().outcome == "inode 0: closed by its owner");
  CHECK(confirm(connection, before).value().starts_with("the owner can't be found any more"));
  CHECK(confirm(connection, identity));
}

TEST_CASE_METHOD(ResolverTest, "nobody has a descriptor of it", "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  REQUIRE(client.tell("park") == "ok");
  const Identity identity = look(connection);
  // Which of them depends on whether everything on this machine can be looked into.
  CHECK(
      (identity.reason == Reason::owner_not_found || identity.reason == Reason::owner_unreadable));
  CHECK(identity.inode > 0);
}

TEST_CASE_METHOD(ResolverTest, "a tuple that is in no table", "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  Connection connection = gate.let_in(client);
  connection.proxy.port = static_cast<std::uint16_t>(connection.proxy.port ^ 1U);
  Identity identity = look(connection);
  CHECK(identity.reason == Reason::socket_not_found);
  CHECK(identity.detail.starts_with("global: no such socket"));

  // What the client dialled, where that was another address.
  connection.original_destination = connection.proxy;
  connection.original_destination->port ^= 1U;
  check_exact(look(connection), client, testing::kClientProgram);
}

TEST_CASE_METHOD(ResolverTest, "an alias of the listener", "[identity]") {
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  Connection connection = gate.let_in(client);
  HostResolverOptions options;
  options.listener_aliases = {connection.proxy};
  use(std::move(options));
  connection.proxy = *net::Endpoint::parse("192.0.2.1:3128");
  // Warder began after the client had connected.
  check_exact(look(connection), client, testing::kClientProgram, Assurance::observed);
}

TEST_CASE_METHOD(ResolverTest, "another program between the look and its confirmation",
                 "[identity]") {
  const testing::ProgramCopy other("other");
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  const Identity before = look(connection);
  REQUIRE(client.tell("exec " + other.path()) == "ok");
  CHECK(confirm(connection, before) == "process " + std::to_string(client.pid()) + " runs " +
                                           other.path() + " now instead of " +
                                           testing::kClientProgram);
  const Identity after = look(connection);
  CHECK(after.grade == Grade::ambiguous);
  CHECK(has_cause(after, Cause::image_changed));
  CHECK(after.assurance == Assurance::suspect);
  CHECK(after.binary() == nullptr);
  CHECK(after.processes.front().start_time == before.processes.front().start_time);
}

TEST_CASE_METHOD(ResolverTest, "another program and back between two looks", "[identity]") {
  const testing::ProgramCopy other("other");
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  const Identity before = look(connection);
  REQUIRE(before.assurance == Assurance::proven);
  REQUIRE(client.tell("exec " + other.path()) == "ok");
  REQUIRE(client.tell("exec " + testing::kClientProgram) == "ok");
  CHECK(confirm(connection, before) == "process " + std::to_string(client.pid()) + " (" +
                                           testing::kClientProgram +
                                           ") has executed a program since");
  const Identity after = look(connection);
  CHECK(after.grade == Grade::exact);
  CHECK(has_cause(after, Cause::image_changed));
  CHECK(after.binary() == nullptr);
}

TEST_CASE_METHOD(ResolverTest, "a program that was replaced on disk", "[identity]") {
  const testing::ProgramCopy program("program");
  testing::Client client(program.path());
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  std::filesystem::remove(program.path());
  SECTION("removed") {}
  SECTION("another file in its place") { std::ofstream(program.path()) << "another"; }
  const Identity identity = look(connection);
  REQUIRE(identity.grade == Grade::exact);
  CHECK(identity.assurance == Assurance::suspect);
  CHECK(has_cause(identity, Cause::image_replaced));
  CHECK(identity.binary() == nullptr);
  CHECK(identity.processes.front().deleted);
  CHECK(identity.processes.front().path == program.path());
}

TEST_CASE_METHOD(ResolverTest, "a program mounted over another in a namespace of its own",
                 "[identity]") {
  const testing::ProgramCopy allowed("allowed"), evil("evil");
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  const std::string answer = client.tell("alien " + evil.path() + " " + allowed.path());
  if (answer != "ok") {
    CHECK(::getuid() != 0);
    SKIP("NOT TESTED: an alien mount needs root: " << answer);
  }
  const Identity identity = look(connection);
  REQUIRE(identity.processes.size() == 1);
  CHECK(has_cause(identity, Cause::image_changed));
  CHECK(identity.processes.front().path == allowed.path());
  CHECK(identity.assurance == Assurance::suspect);
  CHECK(has_cause(identity, Cause::alien_path));
  CHECK(identity.binary() == nullptr);
}

TEST_CASE_METHOD(ResolverTest, "a program that sets its own image", "[identity]") {
  const testing::ProgramCopy allowed("allowed");
  testing::Client client(testing::kClientProgram);
  testing::Gate gate;
  const Connection connection = gate.let_in(client);
  REQUIRE(client.tell("set-image " + allowed.path()) == "ok");
  const Identity identity = look(connection);
  REQUIRE_FALSE(identity.processes.empty());
  CHECK(identity.processes.front().path == allowed.path());
  CHECK(identity.assurance == Assurance::suspect);
  CHECK(has_cause(identity, Cause::image_exchanged));
  CHECK(identity.binary() == nullptr);
}

TEST_CASE_METHOD(ResolverTest, "connections of two programs don't mix", "[identity]") {
  const testing::ProgramCopy other("other");
  testing::Client first(testing::kClientProgram), second(other.path());
  testing::Gate first_gate, second_gate;
  const Connection one = first_gate.let_in(first);
  const Connection two = second_gate.let_in(second);
  check_exact(look(one), first, testing::kClientProgram);
  check_exact(look(two), second, other.path());
  const Identity mixed = look({one.client, two.proxy, {}});
  CHECK(mixed.reason == Reason::socket_not_found);
}

TEST_CASE("a resolver needs its procfs and its sandboxes", "[identity]") {
  HostResolverOptions options;
  options.proc_root = "/nowhere";
  CHECK(make_host_resolver(options).error().code == Errc::not_found);
  options = {};
  options.sandboxes = {{SandboxSpec::Kind::pid, 0x7ffffff0, {}}};
  const auto resolver = make_host_resolver(options);
  REQUIRE_FALSE(resolver);
  CHECK(resolver.error().code == Errc::not_found);
  CHECK(describe(resolver.error()).find("sandbox pid:2147483632") != std::string::npos);
}

}  // namespace warder::identity
