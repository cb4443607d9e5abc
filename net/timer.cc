#include "net/timer.h"

#include <algorithm>
#include <utility>

namespace warder::net {

Timer::Timer(Loop& loop, Callback callback)
    : callback_(std::move(callback)), handle_(new uv_timer_t{}) {
  uv_timer_init(loop.uv(), handle_.get());
  handle_->data = this;
}

void Timer::start(std::chrono::milliseconds delay) {
  // libuv counts from the beginning of the turn, which may be long ago.
  uv_update_time(handle_->loop);
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(delay.count(), 0));
  uv_timer_start(
      handle_.get(), [](uv_timer_t* timer) { static_cast<Timer*>(timer->data)->callback_(); }, ms,
      0);
}

void Timer::stop() { uv_timer_stop(handle_.get()); }

bool Timer::active() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(handle_.get())) != 0;
}

}  // namespace warder::net
