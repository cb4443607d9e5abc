#include <unistd.h>

#include <catch2/catch_test_case_info.hpp>
#include <catch2/reporters/catch_reporter_event_listener.hpp>
#include <catch2/reporters/catch_reporter_registrars.hpp>
#include <chrono>
#include <cstdio>
#include <thread>

#include "net/loop.h"
#include "tests/support/loop_fixture.h"

namespace warder::testing {
namespace {

// No test, with LoopFixture or without, leaves a descriptor behind or closes one that isn't its
// own.
class DescriptorListener final : public Catch::EventListenerBase {
 public:
  using EventListenerBase::EventListenerBase;

  void testRunStarting(const Catch::TestRunInfo& /*run*/) override {
    // libuv opens a pipe for signals with the first loop of a process and keeps it.
    const net::Loop first;
  }

  void testCaseStarting(const Catch::TestCaseInfo& /*test*/) override {
    before_ = open_descriptors();
  }

  void testCaseEnded(const Catch::TestCaseStats& stats) override {
    // A thread that could not be cancelled (the admin server's) may be about to close its own.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::size_t after = open_descriptors();
    while (after != before_ && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      after = open_descriptors();
    }
    if (after == before_) return;
    // No assertion counts any more at this point, so the whole run fails.
    std::fprintf(stderr, "%s: %zu descriptors were open before the test, %zu are after it\n",
                 stats.testInfo->name.c_str(), before_, after);
    std::fflush(nullptr);
    ::_exit(1);
  }

 private:
  std::size_t before_ = 0;
};

}  // namespace

CATCH_REGISTER_LISTENER(DescriptorListener)

}  // namespace warder::testing
