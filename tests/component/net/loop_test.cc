#include "net/loop.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <thread>
#include <utility>
#include <vector>

#include "net/offload.h"
#include "net/timer.h"
#include "tests/support/loop_fixture.h"

namespace warder::net {
namespace {

using testing::LoopFixture;

TEST_CASE_METHOD(LoopFixture, "Loop runs posted tasks in order, on its thread") {
  const auto here = std::this_thread::get_id();
  std::vector<int> order;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) {
      loop().post([&, i] {
        CHECK(std::this_thread::get_id() == here);
        order.push_back(i);
      });
    }
    loop().stop();
  });
  loop().run();
  other.join();
  loop().stop();
  loop().run();
  REQUIRE(order.size() == 100);
  for (int i = 0; i < 100; ++i) CHECK(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE_METHOD(LoopFixture, "Loop remembers a stop that came before run") {
  loop().stop();
  run_turns(3);
  loop().run();
  bool ran = false;
  loop().post([&] {
    ran = true;
    loop().stop();
  });
  loop().run();
  CHECK(ran);
}

TEST_CASE_METHOD(LoopFixture, "Loop destroys, without running, what was posted too late") {
  auto alive = std::make_shared<int>(1);
  bool ran = false;
  {
    Loop inner;
    inner.post([alive, &ran] { ran = true; });
    CHECK(alive.use_count() == 2);
  }
  CHECK(alive.use_count() == 1);
  CHECK_FALSE(ran);
}

struct Retiree {
  Loop& loop;
  int& alive;
  bool again;
  Retiree(Loop& its_loop, int& counter, bool retires_another)
      : loop(its_loop), alive(counter), again(retires_another) {
    ++alive;
  }
  ~Retiree() {
    --alive;
    if (again) loop.retire(std::make_unique<Retiree>(loop, alive, false));
  }
};

TEST_CASE_METHOD(LoopFixture, "Loop destroys retired objects later, also those that retire more") {
  int alive = 0;
  loop().retire(std::make_unique<Retiree>(loop(), alive, true));
  CHECK(alive == 1);
  CHECK(run_until([&] { return alive == 0; }));
  {
    Loop inner;
    inner.retire(std::make_unique<Retiree>(inner, alive, true));
    CHECK(alive == 1);
  }
  CHECK(alive == 0);
}

TEST_CASE_METHOD(LoopFixture, "Loop leaves nothing retired behind when it stops") {
  // What a retired object needs may be gone when the loop itself is.
  auto alive = std::make_shared<int>(1);
  loop().stop();
  loop().post([this, alive]() mutable {
    loop().retire(std::make_unique<std::shared_ptr<int>>(std::move(alive)));
  });
  const std::weak_ptr<int> retired = std::exchange(alive, nullptr);
  loop().run();
  CHECK(retired.expired());
}

TEST_CASE_METHOD(LoopFixture, "Timer fires once, can be replaced and stopped") {
  int fired = 0;
  Timer timer(loop(), [&] { ++fired; });
  timer.start(std::chrono::hours(1));
  timer.start(std::chrono::milliseconds(1));
  CHECK(timer.active());
  CHECK(run_until([&] { return fired == 1; }));
  CHECK_FALSE(timer.active());
  timer.start(std::chrono::milliseconds(1));
  timer.stop();
  run_for(std::chrono::milliseconds(10));
  CHECK(fired == 1);
}

TEST_CASE_METHOD(LoopFixture, "Timer counts from the call, not from the beginning of the turn") {
  std::chrono::steady_clock::time_point started;
  std::chrono::milliseconds waited{0};
  Timer timer(loop(), [&] {
    waited = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - started);
  });
  loop().post([&] {
    // A turn that takes long: the point of the test, not a way to wait for anything.
    const auto busy_until = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
    while (std::chrono::steady_clock::now() < busy_until) {
    }
    started = std::chrono::steady_clock::now();
    timer.start(std::chrono::milliseconds(40));
  });
  CHECK(run_until([&] { return waited.count() > 0; }));
  CHECK(waited.count() >= 38);
}

TEST_CASE_METHOD(LoopFixture, "Offload works on another thread and reports on the loop's") {
  const auto here = std::this_thread::get_id();
  std::thread::id worker;
  bool done = false;
  std::unique_ptr<Offload> handle;
  handle = offload(
      loop(), [&worker] { worker = std::this_thread::get_id(); },
      [&] {
        CHECK(std::this_thread::get_id() == here);
        handle.reset();
        done = true;
      });
  CHECK_FALSE(done);
  CHECK(run_until([&] { return done; }));
  CHECK(worker != here);
  CHECK(worker != std::thread::id());
}

TEST_CASE_METHOD(LoopFixture, "Offload never reports once its handle is gone") {
  bool reported = false;
  auto owned = std::make_shared<std::atomic<int>>(0);
  for (int i = 0; i < 64; ++i) {
    const auto handle = offload(
        loop(), [owned] { (void)owned->load(); }, [&reported] { reported = true; });
    // Destroyed at once: some are running by now, most wait for a thread.
  }
  CHECK(run_until([&] { return owned.use_count() == 1; }));
  CHECK_FALSE(reported);
}

}  // namespace
}  // namespace warder::net
