#include "proxy/readiness.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "gate_fixture.h"

namespace warder::testing {
namespace {

using proxy::Check;

identity::Identity owned_by(pid_t pid) {
  identity::Identity identity = known_caller();
  identity.processes.front().pid = pid;
  return identity;
}

struct ReadinessTest : LoopFixture {
  GateResolver resolver;
  GateOpa opa;
  GateRecords records;
  std::vector<std::optional<std::string>> revisions;
  proxy::StartupGate gate;
  Check names{"policy_names", true, true, "read"};
  int readings = 0;  // that were asked for
  proxy::Readiness readiness{
      loop(),
      opa,
      resolver,
      records,
      gate,
      {.every = std::chrono::milliseconds(600),
       .names = [this] { return names; },
       .read_names = [this] { ++readings; },
       .on_revision = [this](const auto& revision) { revisions.push_back(revision); },
       .names_patience = std::chrono::milliseconds(700)}};

  Check check(std::string_view name) const {
    for (const Check& check : readiness.checks()) {
      if (check.name == name) return check;
    }
    FAIL("there is no check " << name);
    return {};
  }
  bool ready() const {
    for (const Check& check : readiness.checks()) {
      if (check.required && !check.ok) return false;
    }
    return true;
  }
  // And then OPA is healthy.
  void answer_probe(const opa::Decision& decision) {
    opa.calls.answer(decision);
    if (opa.reads.open() > 0) opa.reads.answer(opa::Document{});
  }
  const proxy::Diagnostic* told(std::string_view event) const {
    for (auto it = records.diagnostics.rbegin(); it != records.diagnostics.rend(); ++it) {
      if (it->event == event) return &*it;
    }
    return nullptr;
  }
};

TEST_CASE_METHOD(ReadinessTest, "Ready only once every required check has passed") {
  CHECK_FALSE(ready());
  readiness.start();
  CHECK_FALSE(ready());
  resolver.first.answer(owned_by(::getpid()));
  CHECK_FALSE(ready());
  answer_probe(deny_decision());
  CHECK_FALSE(ready());
  readiness.set_listening(true);
  CHECK(ready());
  readiness.set_listening(false);
  CHECK_FALSE(ready());
}

TEST_CASE_METHOD(ReadinessTest, "Every probe's answer tells the policy's revision") {
  readiness.start();
  resolver.first.answer(owned_by(::getpid()));
  opa::Decision decision = deny_decision();
  decision.revision = "seven";
  opa.calls.answer(decision);
  REQUIRE(revisions.size() == 1);
  CHECK(revisions.front() == "seven");
}

TEST_CASE_METHOD(ReadinessTest, "The gate opens once OPA has answered and is healthy") {
  readiness.start();
  resolver.first.answer(owned_by(::getpid()));
  opa.calls.answer(fail(Errc::opa_unreachable, "the test"));
  CHECK_FALSE(gate.is_open());
  REQUIRE(told("gate_waiting") != nullptr);
  CHECK(told("gate_waiting")->fields.front().second == "opa_unreachable: the test");

  REQUIRE(run_until([this] { return opa.calls.open() == 1; }));
  opa.calls.answer(deny_decision());
  CHECK_FALSE(gate.is_open());
  REQUIRE(opa.paths == std::vector<std::string>{"/health?bundles"});
  opa.reads.answer(fail(Errc::opa_status, "500: not all bundles"));
  CHECK_FALSE(gate.is_open());
  CHECK(check("opa").detail.find("not all bundles") != std::string::npos);
  CHECK(std::count_if(records.diagnostics.begin(), records.diagnostics.end(), [](const auto& told) {
          return told.event == "gate_waiting";
        }) == 1);  // not so soon again

  REQUIRE(run_until([this] { return opa.calls.open() == 1; }));
  answer_probe(deny_decision());
  CHECK(gate.is_open());
  CHECK(told("gate_open") != nullptr);
  CHECK(check("opa").ok);
}

TEST_CASE_METHOD(ReadinessTest, "The gate waits for the paths that the policy mentions") {
  names = {"policy_names", false, true, "not read yet"};
  readiness.set_listening(true);
  readiness.start();
  resolver.first.answer(owned_by(::getpid()));
  answer_probe(deny_decision());
  CHECK_FALSE(gate.is_open());
  REQUIRE(told("gate_waiting") != nullptr);
  CHECK(told("gate_waiting")->fields.front() ==
        std::pair<std::string, std::string>("policy_names", "not read yet"));
  SECTION("until they are read") {
    names.ok = true;
    // Whoever waits for it to be ready has no request refused.
    CHECK_FALSE(ready());
    CHECK_FALSE(check("gate").ok);
    REQUIRE(run_until([this] { return opa.calls.open() == 1; }));
    answer_probe(deny_decision());
    REQUIRE(gate.is_open());
    CHECK(ready());
    CHECK(told("gate_open")->level == proxy::LogLevel::info);
  }
  SECTION("for so long and no longer, counted from when OPA first answers") {
    REQUIRE(run_until([this] { return opa.calls.open() == 1; }));
    opa.calls.answer(fail(Errc::opa_unreachable, "the test"));
    CHECK_FALSE(gate.is_open());
    REQUIRE(run_until([this] { return opa.calls.open() == 1; }));
    answer_probe(deny_decision());
    REQUIRE(gate.is_open());
    CHECK(told("gate_open")->level == proxy::LogLevel::warn);
    CHECK(told("gate_open")->fields.back().second == "not read yet");
  }
}

TEST_CASE_METHOD(ReadinessTest, "What was read before OPA had the policy is read again") {
  readiness.start();
  resolver.first.answer(owned_by(::getpid()));
  SECTION("where it had none at first") {
    opa::Decision undefined;
    undefined.undefined = true;
    answer_probe(undefined);
    CHECK(readings == 0);
    REQUIRE(run_until([this] { return opa.calls.open() == 1; }));
    answer_probe(deny_decision());
    CHECK(readings == 1);
    CHECK(gate.is_open());
  }
  SECTION("and not where it answers the first probe") {
    answer_probe(deny_decision());
    CHECK(readings == 0);
    CHECK(gate.is_open());
  }
}

TEST_CASE_METHOD(ReadinessTest, "The probe asks about nobody and a name that nobody has") {
  readiness.start();
  REQUIRE(opa.queries.size() == 1);
  CHECK(opa.queries.front().host == "probe.invalid");
  CHECK_FALSE(opa.queries.front().binary.has_value());
  CHECK(opa.queries.front().identity.grade == "unresolved");
}

TEST_CASE_METHOD(ReadinessTest, "Not ready when the owner of its own connection is not found") {
  readiness.set_listening(true);
  readiness.start();
  answer_probe(deny_decision());
  SECTION("but another process") { resolver.first.answer(owned_by(::getpid() + 1)); }
  SECTION("nobody") {
    identity::Identity nobody;
    nobody.detail = "global: not there";
    resolver.first.answer(nobody);
    CHECK(check("identity").detail.find("global: not there") != std::string::npos);
  }
  CHECK_FALSE(ready());
  CHECK_FALSE(check("identity").ok);
  REQUIRE(told("check_identity") != nullptr);
  CHECK(told("check_identity")->level == proxy::LogLevel::error);
}

TEST_CASE_METHOD(ReadinessTest, "A lookup of its own connection that failed once is done again") {
  readiness.set_listening(true);
  readiness.start();
  resolver.first.answer(identity::Identity{});
  answer_probe(deny_decision());
  CHECK_FALSE(ready());
  REQUIRE(run_until([this] { return resolver.first.open() == 1; }));
  resolver.first.answer(owned_by(::getpid()));
  CHECK(ready());
  CHECK(resolver.first.asked() == 2);
}

TEST_CASE_METHOD(ReadinessTest, "Without decision ids it is ready, and warns") {
  readiness.set_listening(true);
  readiness.start();
  resolver.first.answer(owned_by(::getpid()));
  opa::Decision unlogged = deny_decision();
  unlogged.decision_id.reset();
  answer_probe(unlogged);
  CHECK(ready());
  CHECK_FALSE(check("decision_log").ok);
  REQUIRE(told("check_decision_log") != nullptr);
  CHECK(told("check_decision_log")->level == proxy::LogLevel::warn);
}

TEST_CASE_METHOD(ReadinessTest, "Asks again until OPA answers, and tells a change once") {
  readiness.set_listening(true);
  readiness.start();
  resolver.first.answer(owned_by(::getpid()));
  opa.calls.answer(fail(Errc::opa_unreachable, "the test"));
  CHECK_FALSE(ready());
  const std::size_t told_before = records.diagnostics.size();
  REQUIRE(run_until([this] { return opa.calls.open() == 1; }));
  SECTION("still failing") {
    opa.calls.answer(fail(Errc::opa_timeout, "the test"));
    CHECK_FALSE(ready());
    CHECK(records.diagnostics.size() == told_before);
  }
  SECTION("undefined is no answer to rely on") {
    opa::Decision undefined;
    undefined.undefined = true;
    undefined.decision_id = "decision-2";
    opa.calls.answer(undefined);
    CHECK_FALSE(ready());
    CHECK(check("opa").detail.find("undefined") != std::string::npos);
  }
  SECTION("well") {
    answer_probe(deny_decision());
    CHECK(ready());
    REQUIRE(told("check_opa") != nullptr);
    CHECK(told("check_opa")->level == proxy::LogLevel::info);
  }
}

}  // namespace
}  // namespace warder::testing
