#include "opa-client/answer_reuse.h"

#include <catch2/catch_test_macros.hpp>
#include <limits>
#include <string>

namespace warder::opa {
namespace {

using namespace std::chrono_literals;

Decision allowing(double max_age, std::optional<std::string> revision = "1") {
  Decision decision;
  decision.allow = true;
  decision.max_age = max_age;
  decision.revision = std::move(revision);
  decision.decision_id = "d-1";
  return decision;
}

struct Reuse {
  std::chrono::nanoseconds now = 1h;
  AnswerReuse answers;

  explicit Reuse(ReuseOptions options = {.max_age = 10s})
      : answers(options, [this] { return now; }) {}
  bool has(const std::string& key) { return answers.find(key) != nullptr; }
};

TEST_CASE("reuse: an allow is good as long as it says", "[opa]") {
  Reuse reuse;
  reuse.answers.remember("a", allowing(2.5));
  REQUIRE(reuse.has("a"));
  CHECK(reuse.answers.find("a")->decision_id == "d-1");
  CHECK_FALSE(reuse.has("b"));
  CHECK_FALSE(reuse.has(""));
  reuse.now += 2499ms;
  CHECK(reuse.has("a"));
  reuse.now += 1ms;
  CHECK_FALSE(reuse.has("a"));
  CHECK(reuse.answers.size() == 0);
}

TEST_CASE("reuse: using an answer doesn't make it younger", "[opa]") {
  Reuse reuse;
  reuse.answers.remember("a", allowing(2));
  for (int i = 0; i < 3; ++i) {
    CHECK(reuse.has("a"));
    reuse.now += 500ms;
  }
  reuse.now += 500ms;
  CHECK_FALSE(reuse.has("a"));
}

TEST_CASE("reuse: the configuration's limit holds", "[opa]") {
  for (const double age : {10.0, 10.5, 3600.0, 1e18, std::numeric_limits<double>::max()}) {
    Reuse reuse;
    reuse.answers.remember("a", allowing(age));
    reuse.now += 9999ms;
    CHECK(reuse.has("a"));
    reuse.now += 1ms;
    CHECK_FALSE(reuse.has("a"));
  }
  Reuse off({.max_age = 0ms});
  off.answers.remember("a", allowing(10));
  CHECK_FALSE(off.has("a"));
}

TEST_CASE("reuse: nothing but an allow", "[opa]") {
  Reuse reuse;
  reuse.answers.remember("no age", allowing(0));
  CHECK_FALSE(reuse.has("no age"));
  reuse.answers.remember("tiny", allowing(1e-12));
  CHECK_FALSE(reuse.has("tiny"));
  Decision decision = allowing(10);
  decision.would_deny = true;
  reuse.answers.remember("audit", decision);
  CHECK_FALSE(reuse.has("audit"));
  decision.would_deny = false;
  decision.allow = false;
  reuse.answers.remember("denied", decision);
  CHECK_FALSE(reuse.has("denied"));
  CHECK(reuse.answers.size() == 0);
}

TEST_CASE("reuse: a denial ends what was allowed", "[opa]") {
  Reuse reuse;
  reuse.answers.remember("a", allowing(10));
  reuse.answers.remember("b", allowing(10));
  Decision denial;
  denial.revision = "1";
  reuse.answers.remember("a", denial);
  CHECK_FALSE(reuse.has("a"));
  CHECK(reuse.has("b"));
}

TEST_CASE("reuse: nothing of a policy without a revision", "[opa]") {
  Reuse reuse;
  reuse.answers.remember("a", allowing(10, std::nullopt));
  CHECK_FALSE(reuse.has("a"));
  CHECK(reuse.answers.size() == 0);
}

TEST_CASE("reuse: a revision that is seen elsewhere ends everything", "[opa]") {
  Reuse reuse;
  reuse.answers.remember("a", allowing(10, "1"));
  CHECK_FALSE(reuse.answers.saw_revision("1"));
  CHECK(reuse.has("a"));
  CHECK(reuse.answers.saw_revision("2"));
  CHECK_FALSE(reuse.has("a"));
  CHECK(reuse.answers.saw_revision(std::nullopt));
}

TEST_CASE("reuse: another revision ends everything", "[opa]") {
  Reuse reuse;
  reuse.answers.remember("a", allowing(10, "1"));
  reuse.answers.remember("b", allowing(10, "1"));
  CHECK(reuse.has("a"));
  SECTION("of an allow") {
    reuse.answers.remember("c", allowing(10, "2"));
    CHECK(reuse.has("c"));
  }
  SECTION("of a denial") {
    Decision denial;
    denial.revision = "2";
    reuse.answers.remember("c", denial);
  }
  SECTION("none any more") { reuse.answers.remember("c", Decision{}); }
  SECTION("an allow that is not kept") { reuse.answers.remember("c", allowing(0, "2")); }
  CHECK_FALSE(reuse.has("a"));
  CHECK_FALSE(reuse.has("b"));
}

TEST_CASE("reuse: the answer used longest ago makes room", "[opa]") {
  Reuse reuse({.max_age = 10s, .entries = 3});
  for (const char* key : {"a", "b", "c"}) reuse.answers.remember(key, allowing(10));
  CHECK(reuse.has("a"));
  reuse.answers.remember("d", allowing(10));
  CHECK_FALSE(reuse.has("b"));
  CHECK(reuse.has("a"));
  CHECK(reuse.has("c"));
  CHECK(reuse.has("d"));
  reuse.answers.remember("d", allowing(10));
  CHECK(reuse.answers.size() == 3);
}

TEST_CASE("reuse: memory is bounded", "[opa]") {
  Reuse reuse({.max_age = 10s, .bytes = 100'000});
  const std::string filling(8192, 'x');
  for (int i = 0; i < 1000; ++i) {
    const std::string key = filling + std::to_string(i);
    reuse.answers.remember(key, allowing(10));
    CHECK(reuse.has(key));
  }
  CHECK(reuse.answers.size() >= 5);
  CHECK(reuse.answers.size() <= 12);
  reuse.answers.remember(std::string(100'000, 'y'), allowing(10));
  CHECK_FALSE(reuse.has(std::string(100'000, 'y')));
  CHECK(reuse.answers.size() >= 5);
  // What is gone is not counted any more.
  reuse.answers.remember("x", allowing(10, "new"));
  for (int i = 0; i < 1000; ++i) reuse.answers.remember("x", allowing(10, "new"));
  Decision wide = allowing(10, "new");
  wide.allowed_ips.assign(1000, "10.0.0.0/8");
  reuse.answers.remember("wide", wide);
  CHECK(reuse.has("x"));
  reuse.answers.remember("wide2", wide);
  reuse.answers.remember("wide3", wide);
  CHECK_FALSE(reuse.has("wide"));
}

TEST_CASE("reuse: the clock goes on", "[opa]") {
  const auto before = net::boot_time();
  CHECK(before > 0ns);
  CHECK(net::boot_time() >= before);
}

}  // namespace
}  // namespace warder::opa
