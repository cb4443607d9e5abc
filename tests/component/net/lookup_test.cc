#include "net/lookup.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <optional>

#include "tests/component/net/lookup_fixture.h"
#include "tests/support/sockets.h"

namespace warder::net {
namespace {

using std::chrono::milliseconds;
using testing::ip;
using testing::LookupFixture;

std::vector<IpAddress> sorted(std::vector<IpAddress> addresses) {
  std::sort(addresses.begin(), addresses.end());
  return addresses;
}

TEST_CASE_METHOD(LookupFixture, "Lookup gives A and AAAA, without repeats") {
  server.names["both.test"] = {ip("192.0.2.1"), ip("192.0.2.2"), ip("192.0.2.1"),
                               ip("2001:db8::1")};
  const auto answer = resolve("both.test");
  REQUIRE(answer.has_value());
  CHECK(sorted(*answer) ==
        std::vector<IpAddress>{ip("192.0.2.1"), ip("192.0.2.2"), ip("2001:db8::1")});
  CHECK(std::count(server.asked.begin(), server.asked.end(), "A both.test") == 1);
  CHECK(std::count(server.asked.begin(), server.asked.end(), "AAAA both.test") == 1);

  server.names["four.test"] = {ip("192.0.2.4")};
  CHECK(resolve("four.test").value() == std::vector<IpAddress>{ip("192.0.2.4")});
  server.names["six.test"] = {ip("2001:db8::6")};
  CHECK(resolve("six.test").value() == std::vector<IpAddress>{ip("2001:db8::6")});
}

TEST_CASE_METHOD(LookupFixture, "Lookup reads /etc/hosts first and answers literals itself") {
  server.names["localhost"] = {ip("192.0.2.66")};
  const auto local = resolve("localhost");
  REQUIRE(local.has_value());
  for (const auto& address : *local) CHECK((address == ip("127.0.0.1") || address == ip("::1")));
  CHECK(resolve("192.0.2.9").value() == std::vector<IpAddress>{ip("192.0.2.9")});
  CHECK(resolve("2001:db8::9").value() == std::vector<IpAddress>{ip("2001:db8::9")});
  CHECK(server.asked.empty());
}

TEST_CASE_METHOD(LookupFixture, "Lookup asks for exactly the name it was given") {
  CHECK(resolve("nobody.test").error().code == Errc::name_not_found);
  CHECK(resolve("single").error().code == Errc::name_not_found);
  server.names["empty.test"] = {};
  CHECK(resolve("empty.test").error().code == Errc::name_not_found);
  for (const auto& asked : server.asked) {
    CAPTURE(asked);
    CHECK((asked.ends_with(" nobody.test") || asked.ends_with(" single") ||
           asked.ends_with(" empty.test")));
  }
  server.asked.clear();
  CHECK(resolve(std::string("a.test\0.evil.test", 17)).error().code == Errc::name_not_found);
  CHECK(resolve("").error().code == Errc::name_not_found);
  CHECK(resolve(std::string(300, 'a')).error().code == Errc::name_not_found);
  CHECK(server.asked.empty());
}

TEST_CASE_METHOD(LookupFixture, "Lookup takes no short or octal form for an address") {
  for (const auto* name : {"127.1", "0177.0.0.1", "2130706433", "0x7f.0.0.1", "127.0.0.1."}) {
    CAPTURE(name);
    CHECK(resolve(name).error().code == Errc::name_not_found);
  }
}

TEST_CASE_METHOD(LookupFixture, "Lookup tells a failing server from a missing name") {
  server.failing.insert("broken.test");
  CHECK(resolve("broken.test").error().code == Errc::name_failed);
}

TEST_CASE_METHOD(LookupFixture, "Lookup of a server that is not there fails at once") {
  NameResolverOptions options;
  options.server = testing::closed_port().text();
  resolver = make_name_resolver(loop(), options).value();
  std::optional<Answer> answer;
  const auto lookup = resolver->start("a.test", [&](Answer given) { answer = std::move(given); });
  REQUIRE(run_until([&] { return answer.has_value(); }, milliseconds(2000)));
  CHECK(answer->error().code == Errc::name_failed);
}

TEST_CASE_METHOD(LookupFixture, "Lookup has one deadline") {
  server.silent.insert("silent.test");
  NameResolverOptions hasty;
  hasty.timeout = milliseconds(100);
  reopen(hasty);
  const auto before = std::chrono::steady_clock::now();
  CHECK(resolve("silent.test").error().code == Errc::timed_out);
  // The default's tries take longer.
  CHECK(std::chrono::steady_clock::now() - before < milliseconds(4000));
  server.names["fine.test"] = {ip("192.0.2.1")};
  CHECK(resolve("fine.test").has_value());
}

TEST_CASE_METHOD(LookupFixture, "Lookup that is destroyed never calls back") {
  server.silent.insert("silent.test");
  server.names["fine.test"] = {ip("192.0.2.1")};
  bool called = false;
  for (const auto* name : {"silent.test", "fine.test", "localhost", "192.0.2.1"}) {
    const auto dropped = resolver->start(name, [&](const Answer&) { called = true; });
  }
  auto asked = resolver->start("other.test", [&](const Answer&) { called = true; });
  // The sixth question is still to come, and with it the answer that would complete this lookup.
  REQUIRE(run_until([&] { return server.asked.size() == 5; }));
  asked.reset();
  REQUIRE(run_until([&] { return server.asked.size() == 6; }));
  run_for(milliseconds(30));
  CHECK_FALSE(called);
}

TEST_CASE_METHOD(LookupFixture, "Lookups are cancelled with their resolver") {
  server.silent.insert("silent.test");
  bool called = false;
  const auto lookup = resolver->start("silent.test", [&](const Answer&) { called = true; });
  REQUIRE(run_until([&] { return server.asked.size() == 2; }));
  resolver.reset();
  run_turns(5);
  CHECK_FALSE(called);
}

TEST_CASE_METHOD(LookupFixture, "Lookup's callback may destroy the lookup and the resolver") {
  server.names["fine.test"] = {ip("192.0.2.1")};
  bool called = false;
  std::unique_ptr<NameLookup> lookup;
  lookup = resolver->start("fine.test", [&](const Answer&) {
    lookup.reset();
    resolver.reset();
    called = true;
  });
  CHECK(run_until([&] { return called; }));
}

TEST_CASE_METHOD(LookupFixture, "A hundred lookups at once") {
  std::size_t answered = 0;
  std::vector<std::unique_ptr<NameLookup>> lookups;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "n" + std::to_string(i) + ".test";
    const auto expected = IpAddress::v4({192, 0, 2, static_cast<std::uint8_t>(i)});
    server.names[name] = {expected};
    lookups.push_back(resolver->start(name, [&answered, expected](const Answer& given) {
      CHECK(given.value() == std::vector<IpAddress>{expected});
      ++answered;
    }));
  }
  CHECK(run_until([&] { return answered == 100; }));
}

TEST_CASE_METHOD(LookupFixture, "A name server must be an address with a port") {
  for (const auto* bad : {"dns.test:53", "127.0.0.1", "::1", "127.0.0.1:99999"}) {
    NameResolverOptions options;
    options.server = bad;
    const auto refused = make_name_resolver(loop(), options);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().code == Errc::bad_config);
  }
}

}  // namespace
}  // namespace warder::net
