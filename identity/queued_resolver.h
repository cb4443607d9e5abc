#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "identity/investigator.h"
#include "identity/resolver.h"

namespace warder::identity {

struct QueueLimits {
  std::size_t max_waiting = 4096;
  std::chrono::milliseconds deadline{5000};
};

// A resolver with one thread of its own on which an investigator works: each time for all lookups
// that were waiting when it began. The deadline is kept by the lookup's loop, so that it holds even
// while the thread is stuck in the kernel.
class QueuedResolver final : public Resolver {
 public:
  QueuedResolver(std::unique_ptr<Investigator> investigator, QueueLimits limits);
  ~QueuedResolver() override;
  QueuedResolver(const QueuedResolver&) = delete;
  QueuedResolver& operator=(const QueuedResolver&) = delete;

  [[nodiscard]] std::unique_ptr<Lookup> start(const Connection& connection, net::Loop& loop,
                                              Callback callback) override;
  [[nodiscard]] std::unique_ptr<Lookup> confirm(const Connection& connection,
                                                const Identity& before, net::Loop& loop,
                                                ConfirmCallback callback) override;

  // How often the investigator was set to work. Any thread.
  [[nodiscard]] std::uint64_t walks() const { return walks_.load(std::memory_order_relaxed); }

 private:
  class Ticket;
  class QueuedLookup;

  void submit(const std::shared_ptr<Ticket>& ticket);
  void work();

  std::unique_ptr<Investigator> investigator_;
  const QueueLimits limits_;
  std::atomic<std::uint64_t> walks_{0};
  std::mutex mutex_;  // guards waiting_ and stopping_
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Ticket>> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace warder::identity
