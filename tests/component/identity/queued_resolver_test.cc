#include "identity/queued_resolver.h"

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <condition_variable>
#include <mutex>

#include "tests/support/loop_fixture.h"

namespace warder::identity {
namespace {

using std::chrono::milliseconds;

// What an investigator that waits at a gate shares with its test.
struct GateKeeper {
  std::mutex mutex;
  std::condition_variable changed;
  bool open = true;
  std::vector<std::size_t> batches;

  void set_open(bool now) {
    const std::lock_guard lock(mutex);
    open = now;
    changed.notify_all();
  }
  std::size_t begun() {
    const std::lock_guard lock(mutex);
    return batches.size();
  }
};

class GatedInvestigator final : public Investigator {
 public:
  explicit GatedInvestigator(GateKeeper& keeper) : keeper_(keeper) {}
  std::vector<Identity> look(std::span<const Connection> connections) override {
    std::unique_lock lock(keeper_.mutex);
    keeper_.batches.push_back(connections.size());
    keeper_.changed.wait(lock, [this] { return keeper_.open; });
    std::vector<Identity> identities(connections.size());
    for (std::size_t i = 0; i < connections.size(); ++i) {
      identities[i].grade = Grade::exact;
      identities[i].inode = connections[i].client.port;
    }
    return identities;
  }

 private:
  GateKeeper& keeper_;
};

// Knows the even ports at once.
class QuickInvestigator final : public Investigator {
 public:
  explicit QuickInvestigator(GateKeeper& keeper) : slow_(keeper) {}
  std::vector<Identity> look(std::span<const Connection> connections) override {
    return slow_.look(connections);
  }
  std::vector<std::optional<Identity>> look_at_once(std::span<const Target> targets) override {
    asked_by = std::this_thread::get_id();
    at_once.push_back(targets.size());
    if (takes.count() > 0) {
      const auto begin = std::chrono::steady_clock::now();
      while (std::chrono::steady_clock::now() - begin < takes) std::this_thread::yield();
    }
    std::vector<std::optional<Identity>> identities(targets.size());
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const std::uint16_t port = targets[i].connection.client.port;
      if (targets[i].confirms) ++confirmations;
      if (port % 2 != 0) continue;
      Identity& identity = identities[i].emplace();
      identity.grade = Grade::exact;
      identity.inode = port;
    }
    return identities;
  }

  std::thread::id asked_by;
  milliseconds takes{0};
  std::vector<std::size_t> at_once;  // how many each time
  int confirmations = 0;

 private:
  GatedInvestigator slow_;
};

class QueueTest : public testing::LoopFixture {
 public:
  ~QueueTest() { keeper.set_open(true); }

  void use(QueueLimits limits = {}) {
    resolver =
        std::make_unique<QueuedResolver>(std::make_unique<GatedInvestigator>(keeper), limits);
  }
  // By itself no look is slow, however busy the machine is.
  QuickInvestigator& use_quick(milliseconds slow = std::chrono::minutes(1)) {
    auto made = std::make_unique<QuickInvestigator>(keeper);
    QuickInvestigator& quick = *made;
    QueueLimits limits;
    limits.slow = slow;
    resolver = std::make_unique<QueuedResolver>(std::move(made), limits);
    return quick;
  }
  std::unique_ptr<Lookup> start(std::uint16_t port = 1) {
    return resolver->start({{{}, port}, {}, {}}, loop(),
                           [this](Identity found) { answers.push_back(std::move(found)); });
  }
  // One lookup that keeps the thread busy until the gate opens.
  std::unique_ptr<Lookup> occupy() {
    keeper.set_open(false);
    auto lookup = start(9);
    REQUIRE(run_until([&] { return keeper.begun() == 1; }));
    return lookup;
  }

  GateKeeper keeper;
  std::unique_ptr<QueuedResolver> resolver;
  std::vector<Identity> answers;
};

}  // namespace

TEST_CASE_METHOD(QueueTest, "lookups that wait share the next walk", "[identity]") {
  use();
  const auto first = occupy();
  std::vector<std::unique_ptr<Lookup>> lookups;
  for (std::uint16_t port = 100; port < 164; ++port) lookups.push_back(start(port));
  run_turns(1);
  keeper.set_open(true);
  REQUIRE(run_until([&] { return answers.size() == 65; }));
  CHECK(resolver->walks() == 2);
  CHECK(keeper.batches == std::vector<std::size_t>{1, 64});
  // Each got its own answer.
  for (std::uint16_t port = 100; port < 164; ++port)
    CHECK(std::count_if(answers.begin(), answers.end(),
                        [&](const Identity& answer) { return answer.inode == port; }) == 1);
}

TEST_CASE_METHOD(QueueTest, "a confirmation never uses a walk that has begun", "[identity]") {
  use();
  const auto first = occupy();
  Identity before;
  before.grade = Grade::exact;
  before.inode = 9;
  bool done = false;
  std::optional<Change> changed = Change{"not called", false, false};
  const auto lookup =
      resolver->confirm({{{}, 9}, {}, {}}, before, loop(), [&](std::optional<Change> what) {
        changed = std::move(what);
        done = true;
      });
  keeper.set_open(true);
  REQUIRE(run_until([&] { return done; }));
  CHECK_FALSE(changed);
  CHECK(resolver->walks() == 2);
}

TEST_CASE_METHOD(QueueTest, "what is known at once is told in the next turn, by no other thread",
                 "[identity]") {
  const QuickInvestigator& quick = use_quick();
  const auto lookup = start(2);
  CHECK(answers.empty());
  run_turns(1);
  CHECK(quick.asked_by == std::this_thread::get_id());
  REQUIRE(answers.size() == 1);
  CHECK(answers.front().inode == 2);
  CHECK(resolver->at_once() == 1);
  CHECK(resolver->walks() == 0);
  // The rest is the thread's.
  const auto other = start(3);
  REQUIRE(run_until([&] { return answers.size() == 2; }));
  CHECK(answers.back().inode == 3);
  CHECK(resolver->walks() == 1);
}

TEST_CASE_METHOD(QueueTest, "what is started in one turn is looked at together, a part at a time",
                 "[identity]") {
  const QuickInvestigator& quick = use_quick();
  std::vector<std::unique_ptr<Lookup>> lookups;
  for (std::uint16_t port = 100; port < 200; ++port) lookups.push_back(start(port));
  lookups[0].reset();
  lookups[99].reset();
  // The first of an odd port makes the thread look, and until that is done the rest waits for it.
  keeper.set_open(false);
  run_turns(1);
  REQUIRE(answers.size() == 16);
  keeper.set_open(true);
  REQUIRE(run_until([&] { return answers.size() == 98; }));
  CHECK(quick.at_once == std::vector<std::size_t>{32});
  for (std::uint16_t port = 101; port < 199; ++port)
    CHECK(std::count_if(answers.begin(), answers.end(),
                        [&](const Identity& answer) { return answer.inode == port; }) == 1);
}

TEST_CASE_METHOD(QueueTest, "lookups of more than one look at once", "[identity]") {
  const QuickInvestigator& quick = use_quick();
  std::vector<std::unique_ptr<Lookup>> lookups;
  for (std::uint16_t i = 0; i < 70; ++i)
    lookups.push_back(start(static_cast<std::uint16_t>(2 * i + 2)));
  run_turns(1);
  CHECK(answers.size() == 70);
  CHECK(quick.at_once == std::vector<std::size_t>{32, 32, 6});
  CHECK(resolver->at_once() == 70);
}

TEST_CASE_METHOD(QueueTest, "a callback may end the others of its turn, and the resolver",
                 "[identity]") {
  (void)use_quick();
  std::vector<std::unique_ptr<Lookup>> lookups;
  int called = 0;
  for (std::uint16_t i = 0; i < 40; ++i)
    lookups.push_back(resolver->start({{{}, static_cast<std::uint16_t>(2 * i + 2)}, {}, {}}, loop(),
                                      [&](const Identity&) {
                                        ++called;
                                        lookups.clear();
                                        resolver.reset();
                                      }));
  run_turns(2);
  CHECK(called == 1);
}

TEST_CASE_METHOD(QueueTest, "what a callback starts is of the next turn", "[identity]") {
  const QuickInvestigator& quick = use_quick();
  std::unique_ptr<Lookup> second;
  const auto first = resolver->start({{{}, 2}, {}, {}}, loop(), [&](const Identity&) {
    second = start(4);
    CHECK(answers.empty());
  });
  run_turns(2);
  CHECK(answers.size() == 1);
  CHECK(quick.at_once == std::vector<std::size_t>{1, 1});
}

TEST_CASE_METHOD(QueueTest, "a confirmation at once", "[identity]") {
  const QuickInvestigator& quick = use_quick();
  Identity before;
  before.grade = Grade::exact;
  before.inode = 2;
  std::vector<std::optional<Change>> changes;
  const auto confirm = [&](std::uint16_t port) {
    return resolver->confirm(
        {{{}, port}, {}, {}}, before, loop(),
        [&](std::optional<Change> change) { changes.push_back(std::move(change)); });
  };
  const auto same = confirm(2), other = confirm(4), first = start(6);
  CHECK(changes.empty());
  run_turns(1);
  CHECK(quick.confirmations == 2);
  REQUIRE(changes.size() == 2);
  CHECK_FALSE(changes[0]);
  REQUIRE(changes[1]);
  CHECK(changes[1]->what == "the socket is another: inode 4 instead of 2");
  CHECK(resolver->walks() == 0);
}

TEST_CASE_METHOD(QueueTest, "an answer at once is nobody's after its lookup is gone",
                 "[identity]") {
  (void)use_quick();
  auto cancelled = start(2);
  cancelled.reset();
  std::unique_ptr<Lookup> lookup;
  bool done = false;
  lookup = resolver->start({{{}, 4}, {}, {}}, loop(), [&](const Identity&) {
    lookup.reset();
    done = true;
  });
  run_turns(2);
  CHECK(done);
  CHECK(answers.empty());
}

TEST_CASE_METHOD(QueueTest, "nothing is looked at at once while the thread looks or others wait",
                 "[identity]") {
  QuickInvestigator& quick = use_quick();
  const auto first = occupy();
  quick.asked_by = {};
  const auto second = start(2);
  run_turns(1);
  CHECK(quick.asked_by == std::thread::id());
  keeper.set_open(true);
  REQUIRE(run_until([&] { return answers.size() == 2; }));
  CHECK(resolver->at_once() == 0);
  CHECK(resolver->walks() == 2);
}

TEST_CASE_METHOD(QueueTest, "after a look at once that took long the thread looks for a while",
                 "[identity]") {
  QuickInvestigator& quick = use_quick(QueueLimits{}.slow);
  quick.takes = milliseconds(60);
  const auto slow = start(2);
  run_turns(1);
  quick.takes = milliseconds(0);
  const auto next = start(4);
  CHECK(resolver->at_once() == 1);
  REQUIRE(run_until([&] { return answers.size() == 2; }));
  CHECK(resolver->walks() == 1);
  std::vector<std::unique_ptr<Lookup>> more;
  REQUIRE(run_until([&] {
    more.push_back(start(6));
    return resolver->at_once() > 1;
  }));
}

TEST_CASE_METHOD(QueueTest, "a cancelled lookup is never answered", "[identity]") {
  use();
  SECTION("while it waits") {
    const auto first = occupy();
    auto lookup = start(2);
    run_turns(1);
    lookup.reset();
    keeper.set_open(true);
    REQUIRE(run_until([&] { return answers.size() == 1; }));
    run_turns(3);
    CHECK(answers.front().inode == 9);
    CHECK(resolver->walks() == 1);
  }
  SECTION("while it is looked at") {
    auto lookup = occupy();
    lookup.reset();
    keeper.set_open(true);
  }
  SECTION("when the answer is already on its way") {
    auto lookup = start(2);
    run_turns(1);
    // A second lookup's walk begins only after the first one's answer was posted. It has a loop of
    // its own: a turn of the first one's would hand that on.
    while (keeper.begun() < 1) std::this_thread::yield();
    net::Loop another;
    auto other = resolver->start({{{}, 3}, {}, {}}, another,
                                 [this](Identity found) { answers.push_back(std::move(found)); });
    another.run_once_nowait();
    while (keeper.begun() < 2) std::this_thread::yield();
    lookup.reset();
    other.reset();
  }
  const std::size_t expected = answers.size();
  resolver.reset();
  run_turns(3);
  CHECK(answers.size() == expected);
}

TEST_CASE_METHOD(QueueTest, "the callback may destroy its lookup", "[identity]") {
  use();
  std::unique_ptr<Lookup> lookup;
  bool done = false;
  lookup = resolver->start({}, loop(), [&](const Identity&) {
    lookup.reset();
    done = true;
  });
  CHECK_FALSE(done);
  REQUIRE(run_until([&] { return done; }));
}

TEST_CASE_METHOD(QueueTest, "a full queue says so at once", "[identity]") {
  use({2, milliseconds(20000)});
  const auto first = occupy();
  auto second = start(2);
  const auto third = start(3);
  const auto refused = start(4);
  CHECK(answers.empty());
  REQUIRE(run_until([&] { return answers.size() == 1; }));
  CHECK(answers.front().reason == Reason::lookup_failed);
  CHECK(answers.front().grade == Grade::unresolved);
  CHECK(answers.front().detail == "too many lookups are waiting: 2");
  // One that was cancelled doesn't count.
  second.reset();
  const auto taken = start(5);
  keeper.set_open(true);
  REQUIRE(run_until([&] { return answers.size() == 4; }));
  CHECK(std::count_if(answers.begin(), answers.end(),
                      [](const Identity& answer) { return answer.reason.has_value(); }) == 1);
}

TEST_CASE_METHOD(QueueTest, "the deadline holds while it waits and while it is looked at",
                 "[identity]") {
  // The thread has to begin before that.
  use({16, milliseconds(500)});
  const auto first = occupy();
  const auto second = start(2);
  REQUIRE(run_until([&] { return answers.size() == 2; }));
  for (const Identity& answer : answers) {
    CHECK(answer.reason == Reason::lookup_failed);
    CHECK(answer.detail == "no answer within 500 ms");
  }
  // The late answer is nobody's.
  keeper.set_open(true);
  resolver.reset();
  run_turns(3);
  CHECK(answers.size() == 2);
}

TEST_CASE_METHOD(QueueTest, "a resolver goes while lookups wait", "[identity]") {
  use();
  auto first = occupy();
  auto second = start(2);
  run_turns(1);
  first.reset();
  second.reset();
  keeper.set_open(true);
  resolver.reset();
  run_turns(3);
  CHECK(answers.empty());
}

TEST_CASE("lookups are started from several threads", "[identity]") {
  GateKeeper keeper;
  QueuedResolver resolver(std::make_unique<GatedInvestigator>(keeper), {});
  // Made here: libuv closes descriptors behind the thread sanitizer's back, which then takes a
  // number that another thread gets for a race.
  std::array<net::Loop, 4> loops;
  std::vector<std::thread> workers;
  std::atomic<int> right{0};
  for (std::size_t worker = 0; worker < loops.size(); ++worker) {
    workers.emplace_back([&resolver, &right, &loop = loops[worker], worker] {
      int answered = 0;
      std::vector<std::unique_ptr<Lookup>> lookups;
      for (std::uint16_t i = 0; i < 64; ++i) {
        const auto port = static_cast<std::uint16_t>(worker * 64 + i);
        lookups.push_back(
            resolver.start({{{}, port}, {}, {}}, loop, [&, port](const Identity& got) {
              if (got.inode == port) ++right;
              if (++answered < 32) return;
              lookups.clear();  // cancels the other half
              loop.stop();
            }));
      }
      loop.run();
    });
  }
  for (std::thread& worker : workers) worker.join();
  CHECK(right == 4 * 32);
}

}  // namespace warder::identity
