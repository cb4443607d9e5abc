#include "proxy/policy_names.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <string>
#include <thread>
#include <vector>

#include "gate_fixture.h"

namespace warder::testing {
namespace {

using Paths = std::vector<std::string>;

struct PolicyNamesTest : LoopFixture {
  GateOpa opa;
  GateRecords records;
  proxy::Metrics metrics;
  identity::PolicyPaths paths;
  std::vector<std::optional<std::string>> read_for, revisions;
  proxy::PolicyNames names{loop(),
                           opa,
                           paths,
                           records,
                           metrics,
                           {"/v1/data/egress/decision", std::chrono::hours(1),
                            [this](const auto& revision) { read_for.push_back(revision); },
                            [this](const auto& revision) { revisions.push_back(revision); }}};

  // Waits for the reading that is due, and answers it.
  void answer(Result<opa::Document> document) {
    REQUIRE(run_until([&] { return opa.reads.open() == 1; }));
    opa.reads.answer(std::move(document));
  }
  void answer(const std::string& json) { answer(opa::Document{json}); }
  void fail_with(Errc code) { answer(tl::unexpected<Error>(Error{code, 0, "what happened"})); }
  [[nodiscard]] Paths list() const { return paths.list().paths; }
};

TEST_CASE_METHOD(PolicyNamesTest, "The policy's paths are read at the start") {
  CHECK_FALSE(names.check().ok);
  CHECK(names.check().required);
  names.start();
  CHECK(opa.paths == Paths{"/v1/data/egress/binaries"});
  answer(R"(["/bin/curl", "/usr/bin/python3"])");
  CHECK(list() == Paths{"/bin/curl", "/usr/bin/python3"});
  CHECK(names.check().ok);
  CHECK(records.diagnostics.empty());
  CHECK(metrics.serialize().find(R"(warder_policy_paths{state="looked_up"} 2)") !=
        std::string::npos);
}

TEST_CASE_METHOD(PolicyNamesTest, "A policy that mentions no paths is as good") {
  names.start();
  SECTION("undefined") { answer(opa::Document{}); }
  SECTION("empty") { answer("[]"); }
  CHECK(list().empty());
  CHECK(paths.generation() == 1);
  CHECK(names.check().ok);
}

TEST_CASE_METHOD(PolicyNamesTest, "Another revision has them read again, the same one does not") {
  names.start();
  answer(R"(["/a"])");
  std::thread([&] { names.saw_revision("r1"); }).join();
  answer(R"(["/b"])");
  CHECK(list() == Paths{"/b"});
  names.saw_revision("r1");
  run_turns(3);
  CHECK(opa.reads.asked() == 2);
  names.saw_revision(std::nullopt);
  answer(R"(["/c"])");
  CHECK(list() == Paths{"/c"});
}

TEST_CASE_METHOD(PolicyNamesTest, "What revision there is now is told, once") {
  using Revisions = std::vector<std::optional<std::string>>;
  names.start();
  names.saw_revision("r1");
  names.saw_revision("r1");
  CHECK(revisions.empty());
  run_turns(3);
  CHECK(revisions == Revisions{"r1"});
  names.saw_revision("r2");
  names.saw_revision("r3");
  run_turns(3);
  CHECK(revisions.back() == "r3");
  CHECK(std::count(revisions.begin(), revisions.end(), "r2") == 0);
  names.saw_revision(std::nullopt);
  run_turns(3);
  CHECK(revisions.back() == std::nullopt);
}

TEST_CASE_METHOD(PolicyNamesTest, "A revision that comes while they are read is not missed") {
  names.start();
  names.saw_revision("r1");
  run_turns(3);
  CHECK(opa.reads.asked() == 1);
  answer(R"(["/old"])");
  answer(R"(["/new"])");
  CHECK(list() == Paths{"/new"});
  CHECK(read_for == std::vector<std::optional<std::string>>{std::nullopt, "r1"});
}

TEST_CASE_METHOD(PolicyNamesTest, "Revisions that take turns don't have OPA read all the time") {
  names.start();
  answer("[]");
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 3; ++i) {
    names.saw_revision(std::to_string(i));
    answer("[]");
  }
  CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(290));
}

TEST_CASE_METHOD(PolicyNamesTest, "While OPA can't be reached they stay, and are tried again") {
  names.start();
  fail_with(Errc::opa_unreachable);
  CHECK_FALSE(names.check().ok);
  CHECK(names.check().detail == "not read yet: opa_unreachable: what happened");
  answer(R"(["/a"])");
  CHECK(names.check().ok);
  names.saw_revision("r1");
  fail_with(Errc::opa_timeout);
  CHECK(list() == Paths{"/a"});
  CHECK(read_for.size() == 1);
  answer(R"(["/b"])");
  CHECK(list() == Paths{"/b"});
  CHECK(read_for.size() == 2);
  CHECK(records.diagnostics.empty());
}

TEST_CASE_METHOD(PolicyNamesTest, "What OPA won't tell is said once, and does not hold up") {
  const Errc code = GENERATE(Errc::opa_status, Errc::opa_policy_error);
  names.start();
  fail_with(code);
  CHECK(names.check().ok);
  CHECK(names.check().detail.find("what happened") != std::string::npos);
  names.saw_revision("r1");
  fail_with(code);
  CHECK(read_for.size() == 2);
  REQUIRE(records.diagnostics.size() == 1);
  CHECK(records.diagnostics[0].event == "policy_names");
  CHECK(records.diagnostics[0].level == proxy::LogLevel::warn);
  CHECK(list().empty());
}

TEST_CASE_METHOD(PolicyNamesTest, "What is no list of texts is told, and changes nothing") {
  names.start();
  answer(R"(["/a"])");
  names.saw_revision("r1");
  SECTION("an object") { answer(R"({"/b": true})"); }
  SECTION("a number in it") { answer(R"(["/b", 1])"); }
  CHECK(list() == Paths{"/a"});
  REQUIRE(records.diagnostics.size() == 1);
}

TEST_CASE_METHOD(PolicyNamesTest, "Paths that can't be looked up are told of") {
  names.start();
  answer(R"(["/a", "relative", ")" + std::string("/") + std::string(5000, 'x') + R"("])");
  CHECK(list() == Paths{"/a"});
  REQUIRE(records.diagnostics.size() == 1);
  CHECK(records.diagnostics[0].fields ==
        std::vector<std::pair<std::string, std::string>>{{"left_out", "2"}});
  CHECK(metrics.serialize().find(R"(warder_policy_paths{state="left_out"} 2)") !=
        std::string::npos);
}

TEST_CASE_METHOD(LoopFixture, "A revision that is seen at the end finds nobody") {
  GateOpa opa;
  GateRecords records;
  proxy::Metrics metrics;
  identity::PolicyPaths paths;
  {
    proxy::PolicyNames names(loop(), opa, paths, records, metrics,
                             {"/v1/data/egress/decision", std::chrono::hours(1)});
    names.saw_revision("r1");
  }
  run_turns(3);
  CHECK(opa.reads.asked() == 0);
}

TEST_CASE("The list stands beside the decision") {
  CHECK(proxy::beside("/v1/data/egress/decision", "binaries") == "/v1/data/egress/binaries");
  CHECK(proxy::beside("/v1/data/a/b/allow", "binaries") == "/v1/data/a/b/binaries");
}

}  // namespace
}  // namespace warder::testing
