#pragma once

#include <functional>
#include <memory>

#include "net/loop.h"

namespace warder::net {

// Work on libuv's thread pool. Destroying the handle detaches the work: what runs goes on with what
// it was given, and `done` is never called.
class Offload {
 public:
  virtual ~Offload() = default;
};

// `work` runs on another thread and must own all it touches; `done` runs on the loop's thread,
// once, never before offload() has returned, and may destroy the handle. `loop` outlives the work:
// its destructor waits for what is running.
[[nodiscard]] std::unique_ptr<Offload> offload(Loop& loop, std::function<void()> work,
                                               std::function<void()> done);

}  // namespace warder::net
