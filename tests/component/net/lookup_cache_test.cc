#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <map>
#include <optional>

#include "net/lookup.h"
#include "tests/support/dns_server.h"
#include "tests/support/loop_fixture.h"

namespace warder::net {
namespace {

using Answer = Result<std::vector<IpAddress>>;
using std::chrono::milliseconds;
using std::chrono::seconds;

IpAddress ip(std::string_view text) { return IpAddress::parse(text).value(); }

// A resolver whose cache goes by the test's own clock.
class LookupCacheFixture : public testing::LoopFixture {
 protected:
  LookupCacheFixture() { reopen({}); }

  void reopen(NameResolverOptions options) {
    options.server = server.address();
    options.on_lookup = [this](LookupSource source) { ++sources[source]; };
    options.now = [this] { return now; };
    resolver = make_name_resolver(loop(), options).value();
  }

  [[nodiscard]] std::unique_ptr<NameLookup> start(const std::string& name) {
    return resolver->start(name, [this](Answer given) { answers.push_back(std::move(given)); });
  }

  // Looks up to the end.
  Answer resolve(const std::string& name) {
    std::optional<Answer> answer;
    const auto lookup = resolver->start(name, [&](Answer given) { answer = std::move(given); });
    CHECK_FALSE(answer.has_value());  // never before start() has returned
    REQUIRE(run_until([&] { return answer.has_value(); }));
    return *answer;
  }

  [[nodiscard]] std::ptrdiff_t asked(const std::string& name) const {
    return std::count(server.asked.begin(), server.asked.end(), "A " + name);
  }

  testing::DnsServer server{loop()};
  std::chrono::nanoseconds now = seconds(1000);
  std::map<LookupSource, int> sources;
  std::vector<Answer> answers;
  std::unique_ptr<NameResolver> resolver;
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
    NameResolverOptions options;
    options.timeout = milliseconds(300);
    options.max_in_flight = 2;
    reopen(options);
    server.silent = {"silent1.test", "silent2.test"};
    server.names["late.test"] = {ip("192.0.2.9")};
    silent.push_back(start("silent1.test"));
    silent.push_back(start("silent2.test"));
  }

  std::vector<std::unique_ptr<NameLookup>> silent;
};

TEST_CASE_METHOD(LookupQueueFixture, "Lookup waits while as many as may be are in flight") {
  const auto late = start("late.test");
  const auto same = start("late.test");
  REQUIRE(run_until([&] { return server.asked.size() == 4; }));
  run_turns(5);
  CHECK(asked("late.test") == 0);
  // c-ares gives the silent ones up just before the deadline of those who wait.
  REQUIRE(run_until([&] { return answers.size() == 4; }));
  CHECK(std::count_if(answers.begin(), answers.end(),
                      [](const Answer& answer) { return answer.has_value(); }) == 2);
  CHECK(asked("late.test") == 1);
}

TEST_CASE_METHOD(LookupQueueFixture, "Lookup that waits has a deadline, and leaves the queue") {
  auto gone = start("gone.test");
  const auto late = start("late.test");
  gone.reset();
  REQUIRE(run_until([&] { return answers.size() == 3; }));
  CHECK(asked("gone.test") == 0);
  CHECK(asked("late.test") == 1);
}

TEST_CASE_METHOD(LookupQueueFixture, "Lookup refuses what goes beyond the queue") {
  std::vector<std::unique_ptr<NameLookup>> waiting;
  for (int i = 0; i < 8; ++i) waiting.push_back(start("n" + std::to_string(i) + ".test"));
  CHECK(resolve("more.test").error().code == Errc::overloaded);
  CHECK(sources[LookupSource::refused] == 1);
  // Not a name more: it joins one that waits.
  waiting.push_back(start("n0.test"));
  CHECK(sources[LookupSource::joined] == 1);
  waiting.clear();
  waiting.push_back(start("late.test"));
  CHECK(sources[LookupSource::refused] == 1);
}

TEST_CASE_METHOD(LookupQueueFixture, "Lookups that wait are cancelled with their resolver") {
  const auto late = start("late.test");
  resolver.reset();
  run_turns(5);
  CHECK(answers.empty());
}

}  // namespace
}  // namespace warder::net
