#include "net/watcher.h"

#include "net/check.h"

namespace warder::net {

Result<std::unique_ptr<FdWatcher>> FdWatcher::create(Loop& loop, int fd, Listener& listener) {
  auto raw = std::make_unique<uv_poll_t>();
  // On failure the handle was not made part of the loop, and is not closed.
  if (const int status = uv_poll_init(loop.uv(), raw.get(), fd); status != 0) {
    return fail(from_errno(-status, "watching a descriptor"));
  }
  return std::unique_ptr<FdWatcher>(new FdWatcher(Handle<uv_poll_t>(raw.release()), listener));
}

FdWatcher::FdWatcher(Handle<uv_poll_t> handle, Listener& listener)
    : handle_(std::move(handle)), listener_(listener) {
  handle_->data = this;
}

void FdWatcher::watch(Readiness interest) {
  // uv_poll_start and uv_poll_stop both cost an epoll_ctl.
  if (interest == interest_) return;
  interest_ = interest;
  const int events = (interest.readable ? UV_READABLE : 0) | (interest.writable ? UV_WRITABLE : 0);
  const int status = events == 0 ? uv_poll_stop(handle_.get())
                                 : uv_poll_start(handle_.get(), events, &FdWatcher::on_poll);
  check(status == 0, "uv_poll_start failed");
}

void FdWatcher::on_poll(uv_poll_t* handle, int status, int events) {
  auto* self = static_cast<FdWatcher*>(handle->data);
  if (status < 0) {
    // EPOLLERR. libuv has stopped the handle and says UV_EBADF whatever the error is
    // (src/unix/poll.c, uv__poll_io).
    self->interest_ = {};
    return self->listener_.on_ready(*self, {true, true});
  }
  self->listener_.on_ready(*self, {(events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0});
}

}  // namespace warder::net
