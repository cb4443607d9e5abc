#include "tests/support/loop_fixture.h"

#include <uv.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <iterator>

#include "net/timer.h"

namespace warder::testing {
namespace {

// libuv opens a pipe for signals with the first loop of a process and keeps it.
std::size_t descriptors_after_warming_up() {
  { const net::Loop first; }
  return open_descriptors();
}

}  // namespace

std::size_t open_descriptors() {
  const std::filesystem::directory_iterator entries("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

LoopFixture::LoopFixture()
    : descriptors_before_(descriptors_after_warming_up()), loop_(std::make_unique<net::Loop>()) {}

LoopFixture::~LoopFixture() {
  loop_.reset();
  CHECK(open_descriptors() == descriptors_before_);
}

bool LoopFixture::run_until(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  constexpr std::chrono::milliseconds kAskAgain{2};
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    net::Timer ask_again(*loop_, [] {});
    ask_again.start(kAskAgain);
    uv_run(loop_->uv(), UV_RUN_ONCE);
  }
  return true;
}

void LoopFixture::run_turns(int count) {
  for (int i = 0; i < count; ++i) loop_->run_once_nowait();
}

void LoopFixture::run_for(std::chrono::milliseconds duration) {
  bool over = false;
  net::Timer end(*loop_, [&over] { over = true; });
  end.start(duration);
  while (!over) uv_run(loop_->uv(), UV_RUN_ONCE);
}

}  // namespace warder::testing
