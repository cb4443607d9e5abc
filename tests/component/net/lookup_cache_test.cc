#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <optional>

#include "tests/component/net/lookup_fixture.h"

namespace warder::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ip;

// A resolver whose cache goes by the test's own clock.
class LookupCacheFixture : public testing::LookupFixture {
 protected:
  LookupCacheFixture() { reopen({}); }

  void reopen(NameResolverOptions options) {
    options.on_lookup = [this](LookupSource source) { ++sources[source]; };
    options.now = [this] { return now; };
    LookupFixture::reopen(std::move(options));
  }

  [[nodiscard]] std::unique_ptr<NameLookup> start(const std::string& name) {
    return resolver->start(name, [this](Answer given) { answers.push_back(std::move(given)); });
  }

  [[nodiscard]] std::ptrdiff_t asked(const std::string& name) const {
    return std::count(server.asked.begin(), server.asked.end(), "A " + name);
  }

  std::chrono::nanoseconds now = seconds(1000);
  std::map<LookupSource, int> sources;
  std::vector<Answer> answers;
};

TEST_CASE_METHOD(LookupCacheFixture, "Lookup keeps an answer for its TTL and no longer") {
  server.names["a.test"] = {ip("192.0.2.1"), ip("2001:db8::1")};
  server.ttls["a.test"] = 10;
  const auto first = resolve("a.test").value();
  server.names["a.test"] = {ip("192.0.2.2")};
  now += seconds(10) - std::chrono::nanoseconds(1);
  CHECK(resolve("a.test").value() == first);
  CHECK(asked("a.test") == 1);
  now += std::chrono::nanoseconds(1);
  CHECK(resolve("a.test").value() == std::vector<IpAddress>{ip("192.0.2.2")});
  CHECK(asked("a.test") == 2);
  CHECK(sources ==
        std::map<LookupSource, int>{{LookupSource::asked, 2}, {LookupSource::cached, 1}});
}

TEST_CASE_METHOD(LookupCacheFixture, "Lookup counts the TTL from the question") {
  server.names["a.test"] = {ip("192.0.2.1")};
  server.ttls["a.test"] = 10;
  const auto lookup = start("a.test");
  now += seconds(11);
  REQUIRE(run_until([&] { return answers.size() == 1; }));
  CHECK(resolve("a.test").has_value());
  CHECK(asked("a.test") == 2);
}

TEST_CASE_METHOD(LookupCacheFixture, "Lookup goes by the alias that expires first") {
  server.names["b.test"] = {ip("192.0.2.1")};
  server.aliases["a.test"] = "b.test";
  server.ttls = {{"a.test", 5}, {"b.test", 50}};
  CHECK(resolve("a.test").value() == std::vector<IpAddress>{ip("192.0.2.1")});
  now += seconds(5);
  CHECK(resolve("a.test").has_value());
  CHECK(asked("a.test") == 2);
}

TEST_CASE_METHOD(LookupCacheFixture, "Lookup keeps nothing with a TTL of 0, and nothing of hosts") {
  server.names["a.test"] = {ip("192.0.2.1")};
  for (const unsigned ttl : {0U, 0x80000000U, 0xffffffffU}) {  // RFC 2181 section 8
    server.ttls["a.test"] = ttl;
    const auto before = asked("a.test");
    CHECK(resolve("a.test").has_value());
    CHECK(resolve("a.test").has_value());
    CHECK(asked("a.test") == before + 2);
  }
  CHECK(resolve("localhost").has_value());
  CHECK(resolve("localhost").has_value());
  CHECK_FALSE(sources.contains(LookupSource::cached));
}

TEST_CASE_METHOD(LookupCacheFixture, "Lookup caps the TTL") {
  NameResolverOptions options;
  options.max_ttl = seconds(60);
  server.names["a.test"] = {ip("192.0.2.1")};
  server.ttls["a.test"] = 0x7fffffff;
  reopen(options);
  CHECK(resolve("a.test").has_value());
  now += seconds(59);
  CHECK(resolve("a.test").has_value());
  CHECK(asked("a.test") == 1);
  now += seconds(1);
  CHECK(resolve("a.test").has_value());
  CHECK(asked("a.test") == 2);

  options.max_ttl = milliseconds(0);
  reopen(options);
  CHECK(resolve("a.test").has_value());
  CHECK(resolve("a.test").has_value());
  CHECK(asked("a.test") == 4);
  CHECK_FALSE(resolve("b.test").has_value());
  CHECK_FALSE(resolve("b.test").has_value());
  CHECK(asked("b.test") == 2);
}

TEST_CASE_METHOD(LookupCacheFixture, "Lookup keeps that there is no such name for two seconds") {
  CHECK(resolve("a.test").error().code == Errc::name_not_found);
  server.names["a.test"] = {ip("192.0.2.1")};
  now += milliseconds(1999);
  CHECK(resolve("a.test").error().code == Errc::name_not_found);
  CHECK(asked("a.test") == 1);
  now += milliseconds(1);
  CHECK(resolve("a.test").has_value());
}

TEST_CASE_METHOD(LookupCacheFixture, "Lookup keeps no other failure") {
  server.failing.insert("broken.test");
  CHECK(resolve("broken.test").error().code == Errc::name_failed);
  server.failing.clear();
  server.names["broken.test"] = {ip("192.0.2.1")};
  CHECK(resolve("broken.test").has_value());
}

TEST_CASE_METHOD(LookupCacheFixture, "Lookup asks once for many who want the same name") {
  server.names["a.test"] = {ip("192.0.2.1")};
  server.ttls["a.test"] = 0;
  std::vector<std::unique_ptr<NameLookup>> lookups;
  for (int i = 0; i < 100; ++i) lookups.push_back(start("a.test"));
  // The first, who asked, and one in the middle leave; the others still get their answer.
  lookups[0].reset();
  lookups[50].reset();
  REQUIRE(run_until([&] { return answers.size() == 98; }));
  for (const auto& answer : answers) {
    CHECK(answer.value() == std::vector<IpAddress>{ip("192.0.2.1")});
  }
  run_turns(5);
  CHECK(answers.size() == 98);
  CHECK(asked("a.test") == 1);
  CHECK(sources[LookupSource::joined] == 99);
  CHECK(resolve("a.test").has_value());
  CHECK(asked("a.test") == 2);
}

TEST_CASE_METHOD(LookupCacheFixture, "Lookup gives a failure to all who wait for it") {
  server.failing.insert("broken.test");
  const std::vector<std::unique_ptr<NameLookup>> lookups = [this] {
    std::vector<std::unique_ptr<NameLookup>> made;
    for (int i = 0; i < 3; ++i) made.push_back(start("broken.test"));
    return made;
  }();
  REQUIRE(run_until([&] { return answers.size() == 3; }));
  for (const auto& answer : answers) CHECK(answer.error().code == Errc::name_failed);
}

TEST_CASE_METHOD(LookupCacheFixture, "Lookup's answer is kept though nobody waits for it") {
  server.names["a.test"] = {ip("192.0.2.1")};
  server.ttls["a.test"] = 10;
  start("a.test").reset();
  REQUIRE(run_until([&] { return server.asked.size() == 2; }));
  CHECK(resolve("a.test").has_value());
  CHECK(asked("a.test") == 1);
}

TEST_CASE_METHOD(LookupCacheFixture, "Lookup's callback may look up the same name again") {
  server.names["a.test"] = {ip("192.0.2.1")};
  server.ttls["a.test"] = 0;
  int done = 0;
  std::unique_ptr<NameLookup> lookup;
  lookup = resolver->start("a.test", [&](const Answer&) {
    ++done;
    lookup = resolver->start("a.test", [&](const Answer& given) {
      CHECK(given.has_value());
      ++done;
    });
  });
  CHECK(run_until([&] { return done == 2; }));
}

class LookupQueueFixture : public LookupCacheFixture {
 protected:
  LookupQueueFixture() {
    limit(milliseconds(20000));
    server.names = {{"held1.test", {ip("192.0.2.1")}},
                    {"held2.test", {ip("192.0.2.2")}},
                    {"late.test", {ip("192.0.2.9")}}};
    server.held = {"held1.test", "held2.test"};
  }

  // Two names may be in flight, and eight more wait.
  void limit(milliseconds timeout) {
    NameResolverOptions options;
    options.timeout = timeout;
    options.max_in_flight = 2;
    reopen(options);
  }

  void begin(const std::string& name) { lookups.push_back(start(name)); }

  std::vector<std::unique_ptr<NameLookup>> lookups;
};

TEST_CASE_METHOD(LookupQueueFixture, "Lookup waits while as many as may be are in flight") {
  for (const auto* name : {"held1.test", "held2.test", "late.test", "late.test"}) begin(name);
  REQUIRE(run_until([&] { return server.asked.size() == 4; }));
  run_turns(5);
  CHECK(asked("late.test") == 0);
  CHECK(answers.empty());
  server.release();
  REQUIRE(run_until([&] { return answers.size() == 4; }));
  for (const auto& answer : answers) CHECK(answer.has_value());
  CHECK(asked("late.test") == 1);
}

TEST_CASE_METHOD(LookupQueueFixture, "Lookup that nobody waits for leaves the queue") {
  for (const auto* name : {"held1.test", "held2.test", "gone.test", "late.test"}) begin(name);
  lookups[2].reset();
  REQUIRE(run_until([&] { return server.asked.size() == 4; }));
  server.release();
  REQUIRE(run_until([&] { return answers.size() == 3; }));
  CHECK(asked("gone.test") == 0);
  CHECK(asked("late.test") == 1);
}

TEST_CASE_METHOD(LookupQueueFixture,
                 "Lookup that waits has a deadline, and is not asked for later") {
  limit(milliseconds(300));
  server.silent = {"1.silent.test", "2.silent.test", "3.silent.test", "4.silent.test"};
  for (const auto& name : server.silent) begin(name);
  // c-ares gives up the first two just before their deadline, and gets the next two. What waits
  // behind those is not asked for before its own.
  begin("late.test");
  REQUIRE(run_until([&] { return answers.size() == 5; }));
  for (const auto& answer : answers) CHECK(answer.error().code == Errc::timed_out);
  run_turns(5);
  CHECK(asked("late.test") == 0);
}

TEST_CASE_METHOD(LookupQueueFixture, "Lookup refuses what goes beyond the queue") {
  for (const auto* name : {"held1.test", "held2.test"}) begin(name);
  for (int i = 0; i < 8; ++i) begin("n" + std::to_string(i) + ".test");
  CHECK(resolve("more.test").error().code == Errc::overloaded);
  CHECK(sources[LookupSource::refused] == 1);
  // Not a name more: it joins one that waits.
  begin("n0.test");
  CHECK(sources[LookupSource::joined] == 1);
  lookups.clear();
  begin("late.test");
  CHECK(sources[LookupSource::refused] == 1);
}

TEST_CASE_METHOD(LookupQueueFixture, "Lookups that wait are cancelled with their resolver") {
  for (const auto* name : {"held1.test", "held2.test", "late.test"}) begin(name);
  resolver.reset();
  run_turns(5);
  CHECK(answers.empty());
}

}  // namespace
}  // namespace warder::net
