#include "proxy/readiness.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>

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
  proxy::Readiness readiness{
      loop(), opa, resolver, records,
      [this](const std::optional<std::string>& revision) { revisions.push_back(revision); }};

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
  opa.calls.answer(deny_decision());
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
  opa.calls.answer(deny_decision());
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
  opa.calls.answer(deny_decision());
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
  opa.calls.answer(unlogged);
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
    opa.calls.answer(deny_decision());
    CHECK(ready());
    REQUIRE(told("check_opa") != nullptr);
    CHECK(told("check_opa")->level == proxy::LogLevel::info);
  }
}

}  // namespace
}  // namespace warder::testing
