#include "proxy/denial_limit.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

namespace warder::proxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct DenialLimitTest {
  DenialLimit limit{10};
  DenialLimit::Clock::time_point now{};

  bool ask(std::string_view caller, std::string_view question) {
    return limit.admits(caller, question, now);
  }
  // Asks what is denied; false when it is held back.
  bool denied(std::string_view caller, std::string_view question = "bad") {
    if (!ask(caller, question)) return false;
    limit.note(caller, question, false, now);
    return true;
  }
  int denied_of(std::string_view caller, int tries) {
    int asked = 0;
    for (int i = 0; i < tries; ++i) asked += denied(caller) ? 1 : 0;
    return asked;
  }
};

TEST_CASE_METHOD(DenialLimitTest, "denial limit: a burst, and then so many a second") {
  CHECK(denied_of("a", 1000) == 20);
  now += milliseconds(99);
  CHECK_FALSE(denied("a"));
  now += milliseconds(1);
  CHECK(denied("a"));
  CHECK_FALSE(denied("a"));
  now += seconds(1);
  CHECK(denied_of("a", 1000) == 10);
  now += seconds(100);
  CHECK(denied_of("a", 1000) == 20);
}

TEST_CASE_METHOD(DenialLimitTest, "denial limit: each caller has its own") {
  CHECK(denied_of("a", 1000) == 20);
  CHECK(ask("b", "bad"));
  CHECK(denied_of("b", 1000) == 20);
}

TEST_CASE_METHOD(DenialLimitTest, "denial limit: what was allowed costs nothing, and goes on") {
  for (int i = 0; i < 1000; ++i) {
    CHECK(ask("a", "good"));
    limit.note("a", "good", true, now);
  }
  CHECK(denied_of("a", 1000) == 20);
  CHECK(ask("a", "good"));
  CHECK_FALSE(ask("a", "new"));
  // A policy that changes takes it back.
  limit.note("a", "good", false, now);
  CHECK_FALSE(ask("a", "good"));
  now += milliseconds(100);
  CHECK(ask("a", "new"));
}

TEST_CASE_METHOD(DenialLimitTest, "denial limit: bounded") {
  CHECK(denied_of("first", 1000) == 20);
  for (std::size_t i = 0; i < DenialLimit::kMaxCallers; ++i) denied(std::to_string(i));
  CHECK(ask("first", "bad"));
  CHECK(denied_of("0", 1000) == 19);
  limit.note("0", "good", true, now);
  for (std::size_t i = 0; i < DenialLimit::kMaxAllowed; ++i) {
    limit.note("0", "good " + std::to_string(i), true, now);
  }
  CHECK_FALSE(ask("0", "good"));
  CHECK(ask("0", "good 0"));
}

TEST_CASE("denial limit: none") {
  DenialLimit off(0);
  const DenialLimit::Clock::time_point now{};
  for (int i = 0; i < 1000; ++i) off.note("a", "bad", false, now);
  CHECK(off.admits("a", "bad", now));
}

}  // namespace
}  // namespace warder::proxy
