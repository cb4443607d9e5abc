#include "proxy/denial_limit.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

namespace warder::proxy {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Question = std::unique_ptr<DenialLimit::Question>;

struct DenialLimitTest {
  DenialLimit limit{10};
  DenialLimit::Clock::time_point now{};

  Question ask(const std::string& caller, std::string_view question) {
    return limit.ask(caller, question, now);
  }
  bool held_back(const std::string& caller, std::string_view question) {
    const Question asked = ask(caller, question);
    if (asked) asked->failed();
    return asked == nullptr;
  }
  // False when it is held back.
  bool answer(const std::string& caller, std::string_view question, bool allowed) {
    const Question asked = ask(caller, question);
    if (asked) asked->answered(allowed);
    return asked != nullptr;
  }
  int denied_of(const std::string& caller, int tries) {
    int asked = 0;
    for (int i = 0; i < tries; ++i) asked += answer(caller, "bad", false) ? 1 : 0;
    return asked;
  }
  std::vector<Question> together(const std::string& caller, int count) {
    std::vector<Question> asked;
    for (int i = 0; i < count; ++i) {
      if (Question one = ask(caller, "new " + std::to_string(i))) asked.push_back(std::move(one));
    }
    return asked;
  }
};

TEST_CASE_METHOD(DenialLimitTest, "denial limit: a burst, and then so many a second") {
  CHECK(denied_of("a", 1000) == 20);
  now += milliseconds(99);
  CHECK(held_back("a", "bad"));
  now += milliseconds(1);
  CHECK(denied_of("a", 2) == 1);
  now += seconds(1);
  CHECK(denied_of("a", 1000) == 10);
  now += seconds(100);
  CHECK(denied_of("a", 1000) == 20);
}

TEST_CASE_METHOD(DenialLimitTest, "denial limit: each caller has its own") {
  CHECK(denied_of("a", 1000) == 20);
  CHECK(denied_of("b", 1000) == 20);
}

TEST_CASE_METHOD(DenialLimitTest, "denial limit: what was allowed costs nothing, and goes on") {
  for (int i = 0; i < 1000; ++i) CHECK(answer("a", "good", true));
  CHECK(denied_of("a", 1000) == 20);
  CHECK(answer("a", "good", true));
  CHECK(held_back("a", "new"));
  // A policy that changes takes it back.
  CHECK(answer("a", "good", false));
  CHECK(held_back("a", "good"));
  // And that one had to be paid for, too.
  now += milliseconds(100);
  CHECK(held_back("a", "new"));
  now += milliseconds(100);
  CHECK_FALSE(held_back("a", "new"));
}

TEST_CASE_METHOD(DenialLimitTest, "denial limit: a caller denied lately pays when it asks") {
  CHECK(denied_of("a", 1) == 1);
  auto under_way = together("a", 1000);
  CHECK(under_way.size() == 19);
  SECTION("and is given back what was allowed") {
    for (const Question& question : under_way) question->answered(true);
    CHECK(together("a", 1000).size() == 19 + 19);  // the first 19 are known now
  }
  SECTION("and what got no answer") {
    for (const Question& question : under_way) question->failed();
    CHECK(denied_of("a", 1000) == 19);
  }
  SECTION("but not what was denied") {
    for (const Question& question : under_way) question->answered(false);
    CHECK(held_back("a", "bad"));
  }
  SECTION("nor what it did not wait for") {
    under_way.clear();
    CHECK(held_back("a", "bad"));
  }
}

TEST_CASE_METHOD(DenialLimitTest,
                 "denial limit: a caller not denied lately asks as much as it likes") {
  auto under_way = together("a", 50);
  CHECK(under_way.size() == 50);
  SECTION("and owes for what is denied") {
    for (const Question& question : under_way) question->answered(false);
    now += milliseconds(3000);
    CHECK(held_back("a", "bad"));
    now += milliseconds(100);
    CHECK(denied_of("a", 1000) == 1);
  }
  SECTION("and for what it did not wait for") {
    under_way.clear();
    now += milliseconds(3000);
    CHECK(held_back("a", "bad"));
  }
  SECTION("but not for what is allowed, or not answered") {
    for (std::size_t i = 0; i < under_way.size(); ++i) {
      if (i % 2 == 0) {
        under_way[i]->answered(true);
      } else {
        under_way[i]->failed();
      }
    }
    CHECK(denied_of("a", 1000) == 20);
  }
  SECTION("as does one whose denials are long ago") {
    for (const Question& question : under_way) question->answered(false);
    now += seconds(5);
    CHECK(together("a", 50).size() == 50);
  }
}

TEST_CASE_METHOD(DenialLimitTest,
                 "denial limit: what is asked in any case counts when it is denied") {
  CHECK(denied_of("a", 1000) == 20);
  limit.ask_anyway("a", "tunnel", now)->answered(true);
  CHECK(answer("a", "tunnel", true));
  limit.ask_anyway("a", "tunnel", now).reset();  // its tunnel ended first
  now += milliseconds(100);
  CHECK_FALSE(held_back("a", "new"));
  limit.ask_anyway("a", "tunnel", now)->answered(false);
  CHECK(held_back("a", "new"));
  CHECK(held_back("a", "tunnel"));
  // Many tunnels that end together are nothing that the caller has asked for.
  for (int i = 0; i < 1000; ++i) limit.ask_anyway("a", "tunnel", now)->answered(false);
  now += milliseconds(200);
  CHECK_FALSE(held_back("a", "new"));
}

TEST_CASE_METHOD(DenialLimitTest, "denial limit: bounded") {
  CHECK(denied_of("first", 1000) == 20);
  CHECK(held_back("first", "bad"));
  for (std::size_t i = 0; i < DenialLimit::kMaxCallers; ++i)
    answer(std::to_string(i), "bad", false);
  CHECK_FALSE(held_back("first", "bad"));
  CHECK(denied_of("0", 1000) == 19);
  limit.ask_anyway("0", "good", now)->answered(true);
  for (std::size_t i = 0; i < DenialLimit::kMaxAllowed; ++i) {
    limit.ask_anyway("0", "good " + std::to_string(i), now)->answered(true);
  }
  CHECK(held_back("0", "good"));
  CHECK_FALSE(held_back("0", "good 0"));
}

TEST_CASE("denial limit: none") {
  DenialLimit off(0);
  const DenialLimit::Clock::time_point now{};
  for (int i = 0; i < 1000; ++i) off.ask("a", "bad", now)->answered(false);
  CHECK(off.ask("a", "bad", now) != nullptr);
}

}  // namespace
}  // namespace warder::proxy
