#include "net/loop.h"

#include <csignal>
#include <cstdio>
#include <utility>

#include "net/check.h"

namespace warder::net {

Loop::Loop() {
  std::signal(SIGPIPE, SIG_IGN);
  check(uv_loop_init(&loop_) == 0, "uv_loop_init failed");
  wake_.reset(new uv_async_t{});
  check(uv_async_init(&loop_, wake_.get(),
                      [](uv_async_t* wake) { static_cast<Loop*>(wake->data)->run_posted(); }) == 0,
        "uv_async_init failed");
  wake_->data = this;
  own_posts_.reset(new uv_idle_t{});
  uv_idle_init(&loop_, own_posts_.get());
  own_posts_->data = this;
  undertaker_.reset(new uv_idle_t{});
  uv_idle_init(&loop_, undertaker_.get());
  undertaker_->data = this;
}

Loop::~Loop() {
  for (;;) {
    // What is destroyed may post or retire again.
    std::vector<Task> tasks;
    {
      const std::lock_guard lock(mutex_);
      tasks.swap(posted_);
    }
    auto dead = std::exchange(graveyard_, {});
    if (tasks.empty() && dead.empty()) break;
  }
  undertaker_.reset();
  own_posts_.reset();
  wake_.reset();
  // A handle left open would let the run below wait for ever, so it is looked for first.
  bool leaked = false;
  uv_walk(
      &loop_,
      [](uv_handle_t* handle, void* found) {
        if (uv_is_closing(handle) != 0) return;
        std::fprintf(stderr, "warder: %s handle still open\n",
                     uv_handle_type_name(uv_handle_get_type(handle)));
        *static_cast<bool*>(found) = true;
      },
      &leaked);
  check(!leaked, "a loop was destroyed under open handles");
  // Runs the close callbacks and waits for work on other threads.
  uv_run(&loop_, UV_RUN_DEFAULT);
  check(uv_loop_close(&loop_) == 0, "uv_loop_close failed");
}

void Loop::run() {
  // A stop() that came before, and was seen by run_once_nowait(), is looked at again.
  uv_async_send(wake_.get());
  run_uv(UV_RUN_DEFAULT);
  // The turn in which stop() is seen may be the one in which something was retired. Only now: the
  // stack is the caller's again. A destructor may retire more.
  while (!graveyard_.empty()) const auto dead = std::exchange(graveyard_, {});
  const std::lock_guard lock(mutex_);
  stopping_ = false;
}

void Loop::run_once_nowait() { run_uv(UV_RUN_NOWAIT); }

void Loop::run_uv(uv_run_mode mode) {
  {
    const std::lock_guard lock(mutex_);
    runner_ = std::this_thread::get_id();
  }
  uv_run(&loop_, mode);
  const std::lock_guard lock(mutex_);
  runner_ = {};
}

void Loop::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  uv_async_send(wake_.get());
}

void Loop::post(Task task) {
  bool own = false;
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
    own = runner_ == std::this_thread::get_id();
  }
  if (!own) {
    uv_async_send(wake_.get());
    return;
  }
  // The next turn is begun without waiting while an idle handle is active: no system call is
  // needed.
  uv_idle_start(own_posts_.get(), [](uv_idle_t* own_posts) {
    // Stopped first: a task that posts starts it anew.
    uv_idle_stop(own_posts);
    static_cast<Loop*>(own_posts->data)->run_posted();
  });
}

void Loop::run_posted() {
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
    if (stopping_) uv_stop(&loop_);
  }
  for (Task& task : tasks) {
    // Moved out, so that what the task owns is gone before the next one runs.
    const Task current = std::move(task);
    current();
  }
}

void Loop::bury(std::shared_ptr<void> object) {
  graveyard_.push_back(std::move(object));
  uv_idle_start(undertaker_.get(), [](uv_idle_t* undertaker) {
    auto* self = static_cast<Loop*>(undertaker->data);
    // Stopped first: a destructor that retires something starts it anew.
    uv_idle_stop(undertaker);
    const auto dead = std::exchange(self->graveyard_, {});
  });
}

}  // namespace warder::net
