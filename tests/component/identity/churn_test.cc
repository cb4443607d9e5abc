#include <fcntl.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <cstdlib>
#include <iostream>
#include <map>
#include <random>

#include "identity/bpf/bpf_view.h"
#include "identity/host_resolver.h"
#include "tests/component/identity/churner.h"
#include "tests/support/loop_fixture.h"

namespace warder::identity {
namespace {

using testing::Churner;
using testing::churn::Answer;
using testing::churn::History;
using testing::churn::kOnTheWay;
using testing::churn::kWorkers;

std::uint32_t setting(const char* name, std::uint32_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : static_cast<std::uint32_t>(std::strtoul(text, nullptr, 10));
}

// In all, of all workers; and lookups.
std::uint32_t sockets() { return setting("WARDER_CHURN_SOCKETS", 80) / kWorkers; }
std::uint32_t lookups() { return setting("WARDER_CHURN_LOOKUPS", 300); }

bool names_cause(const Identity& identity, Cause cause) {
  return std::find(identity.causes.begin(), identity.causes.end(), cause) != identity.causes.end();
}

class ChurnTest : public testing::LoopFixture {
 public:
  static std::unique_ptr<Resolver> resolver(HostResolverOptions::Lookup how) {
    HostResolverOptions options;
    options.lookup = how;
    options.deadline = std::chrono::seconds(15);
    auto made = make_host_resolver(std::move(options));
    REQUIRE(made);
    return std::move(made->resolver);
  }
  // Of `count` connections at once.
  std::vector<std::pair<Identity, Answer>> look(Resolver& by, const Churner& churner,
                                                const std::vector<std::uint32_t>& wanted) {
    std::vector<std::pair<Identity, Answer>> found(wanted.size());
    std::vector<std::unique_ptr<Lookup>> running;
    std::size_t done = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      found[i].second.socket = wanted[i];
      found[i].second.begin = testing::churn::now();
      running.push_back(by.start(churner.connections().at(wanted[i]), loop(),
                                 [&found, &done, i](Identity identity) {
                                   found[i].second.end = testing::churn::now();
                                   found[i].first = std::move(identity);
                                   ++done;
                                 }));
    }
    REQUIRE(run_until([&] { return done == wanted.size(); }));
    for (auto& [identity, answer] : found) answer.holders = holders(churner, identity);
    return found;
  }

 private:
  static std::set<int> holders(const Churner& churner, const Identity& identity) {
    std::set<int> holders;
    for (const Process& process : identity.processes)
      if (std::find(process.roles.begin(), process.roles.end(), Role::holder) !=
          process.roles.end())
        holders.insert(churner.worker(process.pid));
    if (names_cause(identity, Cause::hidden_holder) || identity.reason == Reason::owner_not_found)
      holders.insert(kOnTheWay);
    return holders;
  }
};

bool is_an_answer(const Identity& identity) {
  return !identity.reason || identity.reason == Reason::owner_not_found;
}

}  // namespace

TEST_CASE_METHOD(ChurnTest, "while sockets change hands, every answer was true at one time",
                 "[identity][churn]") {
  // A walk through /proc is no instant and sees nothing that is on its way: each whom it names had
  // the socket, while it walked.
  const bool counted = GENERATE(true, false);
  const auto resolver = ChurnTest::resolver(counted ? HostResolverOptions::Lookup::automatic
                                                    : HostResolverOptions::Lookup::procfs);
  const std::size_t enough = counted ? lookups() : lookups() / 4;
  Churner churner(sockets());
  churner.begin();
  std::minstd_rand random;
  std::vector<std::pair<Identity, Answer>> all;
  while (all.size() < enough && !churner.at_end()) {
    std::vector<std::uint32_t> wanted;
    const std::size_t at_once = random() % 4 == 0 ? 16 : 1;
    for (std::size_t i = 0; i < at_once; ++i) {
      const auto worker = static_cast<std::uint32_t>(random() % kWorkers);
      // The first ones change hands the most.
      const auto number =
          static_cast<std::uint32_t>(random() % (random() % 2 == 0 ? 2 : sockets()));
      wanted.push_back(worker * sockets() + number);
    }
    for (auto& one : look(*resolver, churner, wanted)) all.push_back(std::move(one));
  }
  churner.freeze();
  const History history = churner.history();
  std::map<std::string, std::size_t> kinds;
  std::size_t changes = 0;
  for (const auto& [identity, answer] : all) {
    const std::string kind = identity.reason ? std::string(name(*identity.reason))
                                             : std::string(name(identity.assurance));
    ++kinds[kind];
    if (!is_an_answer(identity)) {
      CHECK((identity.reason == Reason::raced ||
             (!counted && identity.reason == Reason::owner_unreadable)));
      continue;
    }
    CHECK((counted || identity.reason || identity.assurance != Assurance::proven));
    if (counted ? !history.allows(answer) : !history.knows_all(answer))
      FAIL_CHECK(history.text(answer) << identity.detail);
    if (history.changes_within(answer) > 0) ++changes;
  }
  for (const auto& [kind, count] : kinds) std::cout << kind << ": " << count << "; ";
  std::cout << all.size() << " lookups, " << changes << " answers while hands changed\n";
  // Otherwise nothing was tried.
  CHECK(changes > 0);
}

TEST_CASE_METHOD(ChurnTest, "all ways of looking agree on a system that stands still",
                 "[identity][churn]") {
  using How = HostResolverOptions::Lookup;
  // It knows who connected, and looks at that process first.
  const auto early = resolver(How::automatic);
  Churner churner(sockets());
  churner.begin();
  run_for(std::chrono::milliseconds(200));
  churner.freeze();
  const History history = churner.history();
  // It does not, and looks at all of them.
  const auto late = resolver(How::automatic);
  const auto procfs = resolver(How::procfs);
  const net::UniqueFd proc(::open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC));
  BpfView kernel = open_bpf_view(proc.get());
  REQUIRE(kernel.view);
  std::size_t proven = 0;
  std::size_t shared = 0;
  std::size_t hidden = 0;
  constexpr std::uint32_t kAtOnce = 50;
  for (std::uint32_t first = 0; first < churner.connections().size(); first += kAtOnce) {
    std::vector<std::uint32_t> wanted;
    for (std::uint32_t i = first; i < first + kAtOnce && i < churner.connections().size(); ++i)
      wanted.push_back(i);
    const auto best = look(*early, churner, wanted);
    const auto all = look(*late, churner, wanted);
    const auto plain = look(*procfs, churner, wanted);
    std::vector<std::uint64_t> inodes;
    for (const auto& one : best) inodes.push_back(one.first.inode);
    // The full pass, and the pass over each single process.
    std::map<std::uint64_t, std::set<int>> full;
    std::map<std::uint64_t, std::set<int>> single;
    const auto add = [&](auto& into, const SocketPass& pass) {
      for (const HeldDescriptor& held : pass.held)
        into[held.inode].insert(churner.worker(pass.tasks.at(held.task).task.pid));
    };
    const auto everything = kernel.view->pass(inodes, {});
    REQUIRE(everything);
    add(full, *everything);
    for (const pid_t pid : churner.pids()) {
      const auto pass = kernel.view->pass(inodes, {pid});
      REQUIRE(pass);
      add(single, *pass);
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      const std::set<int> truth = history.last_holders(wanted[i]);
      std::set<int> seen = truth;
      seen.erase(kOnTheWay);
      INFO("socket " << wanted[i] << ": " << best[i].first.detail << "; " << all[i].first.detail
                     << "; " << plain[i].first.detail);
      CHECK(best[i].second.holders == truth);
      CHECK(all[i].second.holders == truth);
      CHECK(full[inodes[i]] == seen);
      CHECK(single[inodes[i]] == seen);
      std::set<int> walked = plain[i].second.holders;
      walked.erase(kOnTheWay);
      CHECK(walked == seen);
      CHECK(plain[i].first.reason.has_value() == seen.empty());
      if (best[i].first.assurance == Assurance::proven) ++proven;
      if (seen.size() > 1) ++shared;
      if (truth.count(kOnTheWay) > 0) ++hidden;
    }
  }
  std::cout << churner.connections().size() << " sockets, " << proven << " proven, " << shared
            << " shared, " << hidden << " on their way\n";
}

}  // namespace warder::identity
