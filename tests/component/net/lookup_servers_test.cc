#include <sys/stat.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>

#include "net/dns_channel.h"
#include "tests/component/net/lookup_fixture.h"

namespace warder::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::ip;

constexpr const char* kFirst = "nameserver 127.0.0.1\n";
constexpr const char* kSecond = "nameserver 127.0.0.2\n";

// A resolver that goes by a resolv.conf and a clock of the test: at first it asks `server`, and
// nothing is in the cache.
class LookupServersFixture : public testing::LookupFixture {
 protected:
  LookupServersFixture() {
    REQUIRE(::mkdtemp(folder_.data()) != nullptr);
    options.resolv_conf = folder_ + "/resolv.conf";
    options.port = server.endpoint().port;
    options.now = [this] { return now; };
    options.on_servers = [this](const NameServers& servers) { told.push_back(servers); };
    write_anew(kFirst);
    for (testing::DnsServer* one : {&server, &second}) {
      one->names = {{"a.test", {}}, {"b.test", {}}, {"held.test", {}}};
      for (auto& [name, addresses] : one->names) {
        addresses = {one == &server ? ip("192.0.2.1") : ip("192.0.2.2")};
        one->ttls[name] = 300;
      }
    }
    open();
  }
  ~LookupServersFixture() { std::filesystem::remove_all(folder_); }
  LookupServersFixture(const LookupServersFixture&) = delete;
  LookupServersFixture& operator=(const LookupServersFixture&) = delete;

  void open() { resolver = make_name_resolver(loop(), options).value(); }

  // By a file in its place.
  void write_anew(std::string_view text) const {
    std::ofstream(options.resolv_conf + ".new") << text;
    std::filesystem::rename(options.resolv_conf + ".new", options.resolv_conf);
  }
  void write_over(std::string_view text) const { std::ofstream(options.resolv_conf) << text; }

  // The last byte of the one address.
  int ask(const std::string& name) { return resolve(name).value().at(0).bytes()[3]; }

  [[nodiscard]] std::unique_ptr<NameLookup> start(const std::string& name) {
    return resolver->start(name, [this](Answer given) { answers.push_back(std::move(given)); });
  }

  NameServers asked_of(const std::string& address, std::string problem = {}) const {
    return {address + ":" + std::to_string(options.port), std::move(problem)};
  }

  testing::DnsServer second{loop(), {ip("127.0.0.2"), server.endpoint().port}};
  NameResolverOptions options;
  std::chrono::nanoseconds now = seconds(1000);
  std::vector<NameServers> told;
  std::vector<Answer> answers;

 private:
  std::string folder_ = "/tmp/lookup-servers-XXXXXX";
};

TEST_CASE_METHOD(LookupServersFixture,
                 "Lookup asks the servers of a resolv.conf that has changed") {
  CHECK(ask("a.test") == 1);
  write_anew(kSecond);
  now += seconds(1) - std::chrono::nanoseconds(1);
  CHECK(ask("b.test") == 1);
  now += std::chrono::nanoseconds(1);
  // What the first had said is forgotten, too.
  CHECK(ask("a.test") == 2);
  CHECK(ask("b.test") == 2);
  CHECK(told == std::vector{asked_of("127.0.0.2")});
  write_over(kFirst);
  now += seconds(1);
  CHECK(ask("b.test") == 1);
  CHECK(told == std::vector{asked_of("127.0.0.2"), asked_of("127.0.0.1")});
}

TEST_CASE_METHOD(LookupServersFixture,
                 "Lookup keeps answers when resolv.conf names the same servers") {
  CHECK(ask("a.test") == 1);
  write_anew(std::string("# renewed\n") + kFirst);
  now += seconds(1);
  CHECK(ask("a.test") == 1);
  CHECK(std::count(server.asked.begin(), server.asked.end(), "A a.test") == 1);
  CHECK(told.empty());
}

TEST_CASE_METHOD(LookupServersFixture, "Lookup goes on as before while resolv.conf is no good") {
  const std::string path = options.resolv_conf;
  const std::vector<std::pair<std::string, std::function<void()>>> ways = {
      {"not_found: " + path + " (No such file or directory)", [] {}},
      {"not_found: " + path + " names no server", [&] { write_anew(""); }},
      {"not_found: " + path + " names no server", [&] { write_anew("nameserver 127.0.0.\n"); }},
      {"bad_config: " + path + " is not a regular file",
       [&] { std::filesystem::create_directory(path); }},
      {"bad_config: " + path + " is not a regular file",
       [&] { REQUIRE(::mkfifo(path.c_str(), 0600) == 0); }},
      {"bad_config: " + path + " is too large",
       [&] { write_anew(kSecond + std::string(std::size_t{64} * 1024, '\n')); }},
      {"system_error: " + path + " (Too many levels of symbolic links)",
       [&] { std::filesystem::create_symlink(path, path); }},
  };
  for (const auto& [problem, spoil] : ways) {
    CAPTURE(problem);
    told.clear();
    std::filesystem::remove(path);
    spoil();
    for (int look = 0; look < 3; ++look) {
      now += seconds(1);
      const auto before = server.asked.size();
      CHECK(resolve("n" + std::to_string(before) + ".test").error().code == Errc::name_not_found);
      CHECK(server.asked.size() > before);
    }
    REQUIRE(told.size() == 1);
    CHECK(told[0].problem == problem);
    CHECK(told[0] == asked_of("127.0.0.1", problem));
    std::filesystem::remove(path);
    write_anew(kFirst);
    now += seconds(1);
    CHECK(ask("a.test") == 1);
    CHECK(told == std::vector{asked_of("127.0.0.1", problem), asked_of("127.0.0.1")});
  }
  CHECK(second.asked.empty());
}

TEST_CASE_METHOD(LookupServersFixture, "Lookup under way is answered by whom it was asked of") {
  const auto descriptors = testing::open_descriptors();
  server.held = {"held.test"};
  const auto early = start("held.test");
  REQUIRE(run_until([&] { return server.asked.size() == 2; }));
  write_anew(kSecond);
  now += seconds(1);
  // It isn't waited for by those who come later.
  CHECK(ask("held.test") == 2);
  CHECK(answers.empty());
  server.release();
  REQUIRE(run_until([&] { return answers.size() == 1; }));
  CHECK(answers[0].value().at(0) == ip("192.0.2.1"));
  // Nor does it take the place of what is known since.
  CHECK(ask("held.test") == 2);
  CHECK(std::count(second.asked.begin(), second.asked.end(), "A held.test") == 1);
  CHECK(run_until([&] { return testing::open_descriptors() == descriptors; }));
}

TEST_CASE_METHOD(LookupServersFixture, "Lookup that waits is asked of the servers of its turn") {
  options.max_in_flight = 1;
  open();
  server.held = {"held.test"};
  const auto held = start("held.test");
  const auto waits = start("a.test");
  REQUIRE(run_until([&] { return server.asked.size() == 2; }));
  write_anew(kSecond);
  now += seconds(1);
  const auto late = start("b.test");
  // So many are in flight as before, those of the servers before counted.
  run_turns(5);
  CHECK(second.asked.empty());
  server.release();
  REQUIRE(run_until([&] { return answers.size() == 3; }));
  CHECK(answers[1].value().at(0) == ip("192.0.2.2"));
  CHECK(answers[2].value().at(0) == ip("192.0.2.2"));
}

TEST_CASE_METHOD(LookupServersFixture, "Lookup with a server of its own reads no resolv.conf") {
  options.server = server.address();
  write_anew("");
  open();
  write_anew(kSecond);
  now += seconds(5);
  CHECK(ask("a.test") == 1);
  CHECK(told.empty());
}

TEST_CASE_METHOD(LookupServersFixture, "Lookup without a resolv.conf asks this host") {
  std::filesystem::remove(options.resolv_conf);
  open();
  CHECK(ask("a.test") == 1);
  REQUIRE(told.size() == 1);
  CHECK_FALSE(told[0].problem.empty());
  write_anew(kSecond);
  now += seconds(1);
  CHECK(ask("a.test") == 2);
  CHECK(told.size() == 2);
  // What is there and can't be read may name others.
  std::filesystem::remove(options.resolv_conf);
  std::filesystem::create_directory(options.resolv_conf);
  CHECK(make_name_resolver(loop(), options).error().code == Errc::bad_config);
}

// Many questions under way, then other servers and as many again.
class LookupManyFixture : public LookupServersFixture {
 protected:
  static constexpr std::size_t kEach = 100;

  void begin_all(milliseconds timeout) {
    options.timeout = timeout;
    open();
    for (testing::DnsServer* one : {&server, &second}) {
      for (std::size_t i = 0; i < kEach; ++i) {
        const std::string name = "n" + std::to_string(i) + ".test";
        one->silent.insert(name);
        lookups.push_back(start(name));
      }
      REQUIRE(run_until([&] { return one->asked.size() >= 2 * kEach; }));
      write_anew(kSecond);
      now += seconds(1);
    }
  }

  std::vector<std::unique_ptr<NameLookup>> lookups;
};

TEST_CASE_METHOD(LookupManyFixture, "Lookups of servers of before and of today all end") {
  const auto descriptors = testing::open_descriptors();
  begin_all(milliseconds(1000));
  REQUIRE(run_until([&] { return answers.size() == 2 * kEach; }));
  for (const auto& answer : answers) CHECK(answer.error().code == Errc::timed_out);
  CHECK(ask("a.test") == 2);
  CHECK(run_until([&] { return testing::open_descriptors() == descriptors; }));
  CHECK(answers.size() == 2 * kEach);
}

TEST_CASE_METHOD(LookupManyFixture,
                 "Lookups of servers of before are cancelled with the resolver") {
  const auto descriptors = testing::open_descriptors();
  begin_all(seconds(20));
  resolver.reset();
  CHECK(run_until([&] { return testing::open_descriptors() == descriptors; }));
  CHECK(answers.empty());
}

TEST_CASE_METHOD(LookupServersFixture, "Lookup follows no more than eight changes at once") {
  std::vector<std::unique_ptr<NameLookup>> lookups;
  int asks = 1;
  for (int i = 0; i < 10; ++i) {
    const std::string name = "n" + std::to_string(i) + ".test";
    for (testing::DnsServer* one : {&server, &second}) {
      one->held.insert(name);
      one->names[name] = {ip("192.0.2.9")};
    }
    lookups.push_back(start(name));
    const std::string question = "A " + name;
    REQUIRE(run_until([&] {
      return std::count(server.asked.begin(), server.asked.end(), question) +
                 std::count(second.asked.begin(), second.asked.end(), question) ==
             1;
    }));
    if (i == 8) asks = ask("a.test");
    write_anew(i % 2 == 0 ? kSecond : kFirst);
    now += seconds(1);
  }
  CHECK(told.size() == 8);
  CHECK(asks == 1);
  CHECK(ask("b.test") == 1);
  server.release();
  second.release();
  REQUIRE(run_until([&] { return answers.size() == 10; }));
  for (const auto& answer : answers) CHECK(answer.has_value());
  write_anew(kSecond);
  now += seconds(1);
  CHECK(ask("a.test") == 2);
}

class DnsChannelFixture : public LookupServersFixture {
 protected:
  [[nodiscard]] std::unique_ptr<DnsChannel> make() {
    DnsOptions plain;
    plain.timeout = seconds(1);
    plain.resolv_conf = options.resolv_conf;
    plain.port = options.port;
    plain.now = options.now;
    return make_dns_channel(loop(), plain).value();
  }
};

TEST_CASE_METHOD(DnsChannelFixture, "A DNS channel may be told to follow by its own callback") {
  const auto channel = make();
  std::vector<IpAddress> found;
  channel->ask("a.test", [&](const Result<DnsAnswer>& first) {
    found = first.value().addresses;
    write_anew(kSecond);
    now += seconds(1);
    CHECK(channel->follow());
    channel->ask("a.test", [&](const Result<DnsAnswer>& other) {
      found.push_back(other.value().addresses.at(0));
    });
  });
  REQUIRE(run_until([&] { return found.size() == 2; }));
  CHECK(found == std::vector{ip("192.0.2.1"), ip("192.0.2.2")});
}

TEST_CASE_METHOD(DnsChannelFixture, "A DNS channel asks each server twice within its deadline") {
  write_anew(std::string(kFirst) + kSecond);
  server.silent = second.silent = {"silent.test"};
  const auto channel = make();
  // Nine tenths of it; nearly twice as long if each server had the time of an only one. A machine
  // that stands still meanwhile has it ask again.
  int asked = 0;
  bool in_time = false;
  for (; asked < 5 && !in_time; ++asked) {
    std::optional<Errc> failed;
    const auto begun = std::chrono::steady_clock::now();
    channel->ask("silent.test",
                 [&](const Result<DnsAnswer>& answer) { failed = answer.error().code; });
    REQUIRE(run_until([&] { return failed.has_value(); }));
    in_time = std::chrono::steady_clock::now() - begun < milliseconds(1600);
    CHECK(failed == Errc::timed_out);
  }
  CHECK(in_time);
  for (const testing::DnsServer* one : {&server, &second}) {
    // The last ones may still be on their way.
    CHECK(run_until([&] {
      return std::count(one->asked.begin(), one->asked.end(), "A silent.test") == 2 * asked;
    }));
  }
}

}  // namespace
}  // namespace warder::net
