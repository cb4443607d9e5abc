#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>
#include <unordered_map>
#include <vector>

#include "identity/investigator.h"
#include "identity/resolver.h"

namespace warder::identity {

struct QueueLimits {
  std::size_t max_waiting = 4096;
  std::chrono::milliseconds deadline{5000};
  // A look at once takes some 10 us, and one for as many as there may be some 100. Whatever made
  // one take longer than this may make the next so too, and the loop has others to serve: for a
  // while only the thread looks then, so that a loop is held up a small part of the time at most.
  std::chrono::milliseconds slow{2};
};

// A resolver that has an investigator look at once, on the loop's thread and for all lookups that
// were started in one turn of the loop, as long as the thread below doesn't look and nothing waits
// for it. Where that doesn't do, one thread of its own has it look in full: each time for all
// lookups that were waiting when it began. The deadline is kept by the lookup's loop, so that it
// holds even while the thread is stuck in the kernel.
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

  // How often the investigator was set to look in full. Any thread.
  [[nodiscard]] std::uint64_t walks() const { return walks_.load(std::memory_order_relaxed); }
  // How many lookups were answered at once. Any thread.
  [[nodiscard]] std::uint64_t at_once() const { return at_once_.load(std::memory_order_relaxed); }

 private:
  class Ticket;
  class QueuedLookup;
  class TurnLookup;
  struct Turn;

  [[nodiscard]] std::unique_ptr<Lookup> look_for(const Target& target, net::Loop& loop,
                                                 Callback callback);
  void join(TurnLookup& lookup, net::Loop& loop);
  void look_at_once(Turn& turn);
  [[nodiscard]] std::vector<std::optional<Identity>> look_at_once(std::span<const Target> targets);
  [[nodiscard]] bool take_investigator(std::unique_lock<std::mutex>& looking);
  [[nodiscard]] std::unique_ptr<Lookup> enqueue(const Connection& connection, net::Loop& loop,
                                                Callback callback);
  void submit(const std::shared_ptr<Ticket>& ticket);
  void work();

  const QueueLimits limits_;
  std::mutex looking_;  // guards the two that follow; never taken by who holds mutex_
  std::unique_ptr<Investigator> investigator_;
  std::chrono::steady_clock::time_point slow_until_;
  std::atomic<std::uint64_t> walks_{0}, at_once_{0};
  std::mutex mutex_;  // guards what follows
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Ticket>> waiting_;
  bool busy_ = false;  // the thread looks, or is about to
  bool stopping_ = false;
  std::unordered_map<net::Loop*, std::weak_ptr<Turn>> turns_;  // the latest of each loop
  std::thread thread_;
};

}  // namespace warder::identity
