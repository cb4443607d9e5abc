#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>

#include "client_fixture.h"

namespace warder::testing {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kPolicy = R"(package egress

decision := {"allow": input.host == "api.example.com", "reason": input.binary} if {
	input.port == 443
}

plain := input.port == 443

binaries := ["/usr/bin/curl"]

conflict := 1 if input.port == 443

conflict := 2 if input.host == "api.example.com"
)";

// `opa run --server` on a unix socket, ended by its own pid.
class RealOpa {
 public:
  explicit RealOpa(const std::string& directory) : policy_(directory + "/policy.rego") {
    std::ofstream(policy_) << kPolicy;
    std::string address = "--addr=unix://" + directory + "/opa.sock";
    std::string name = "opa";
    std::string run = "run";
    std::string server = "--server";
    std::string quiet = "--disable-telemetry";
    std::array<char*, 7> arguments{name.data(),    run.data(),     server.data(), quiet.data(),
                                   address.data(), policy_.data(), nullptr};
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    const int error = ::posix_spawnp(&pid_, "opa", &actions, nullptr, arguments.data(), ::environ);
    ::posix_spawn_file_actions_destroy(&actions);
    REQUIRE(error == 0);
  }
  ~RealOpa() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::unlink(policy_.c_str());
  }
  RealOpa(const RealOpa&) = delete;
  RealOpa& operator=(const RealOpa&) = delete;

 private:
  std::string policy_;
  pid_t pid_ = -1;
};

bool opa_on_path() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): the test has one thread
  return std::system("opa version > /dev/null 2>&1") == 0;
}

opa::Query question(std::uint16_t port) {
  opa::Query query;
  query.host = "api.example.com";
  query.port = port;
  query.binary = "/usr/bin/\xE2\x82\xAC";
  return query;
}

// Until it listens a question fails at once, so this polls by asking.
void wait_until_up(ClientFixture& test) {
  std::unique_ptr<Asked> asked = test.ask();
  REQUIRE(test.run_until([&] {
    if (!asked->done()) return false;
    if (asked->error() != Errc::opa_unreachable) return true;
    asked = test.ask();
    return false;
  }));
}

TEST_CASE_METHOD(ClientFixture, "real OPA: what it says is understood", "[opa]") {
  if (!opa_on_path()) SKIP("no `opa` on PATH: the client was NOT tested against a real OPA");
  std::string directory = "/tmp/opa-real-XXXXXX";
  REQUIRE(::mkdtemp(directory.data()) != nullptr);
  {
    const RealOpa opa(directory);
    opa::ClientOptions options{.timeout = milliseconds(5000)};
    options.address = opa::parse_url("unix://" + directory + "/opa.sock").value();
    client = opa::make_client(loop(), options);
    wait_until_up(*this);

    const auto allowed = answer(question(443));
    REQUIRE(allowed->allowed());
    CHECK((*allowed->result)->reason == "/usr/bin/\xE2\x82\xAC");

    const auto undefined = answer(question(80));
    REQUIRE(undefined->result->has_value());
    CHECK((*undefined->result)->undefined);
    CHECK_FALSE(undefined->allowed());

    const auto binaries = read("/v1/data/egress/binaries");
    REQUIRE(binaries->result->has_value());
    CHECK((*binaries->result)->result == R"(["/usr/bin/curl"])");
    CHECK(read("/health")->result->has_value());
    const auto absent = read("/v1/data/egress/absent");
    REQUIRE(absent->result->has_value());
    CHECK_FALSE((*absent->result)->result);

    options.path = "/v1/data/egress/plain";
    client = opa::make_client(loop(), options);
    CHECK(answer(question(443))->allowed());
    CHECK_FALSE(answer(question(80))->allowed());

    options.path = "/v1/data/egress/conflict";
    client = opa::make_client(loop(), options);
    const auto conflict = answer(question(443));
    CHECK(conflict->error() == Errc::opa_policy_error);
    CHECK(conflict->detail().starts_with("500 internal_error: "));
    CHECK(conflict->detail().find(": eval_conflict_error: ") != std::string::npos);

    options.path = "/nowhere";
    client = opa::make_client(loop(), options);
    CHECK(answer()->error() == Errc::opa_status);
  }
  ::unlink((directory + "/opa.sock").c_str());
  ::rmdir(directory.c_str());
}

}  // namespace
}  // namespace warder::testing
