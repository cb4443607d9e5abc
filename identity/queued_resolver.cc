#include "identity/queued_resolver.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "net/timer.h"

namespace warder::identity {
namespace {

using Clock = std::chrono::steady_clock;

// A look at once takes some 10 us. Whatever made one take longer than this may make the next so
// too, and the loop has others to serve: it is held up a small part of the time at most.
constexpr std::chrono::milliseconds kSlow{2};
constexpr int kPauseFactor = 8;
constexpr std::chrono::seconds kLongestPause{1};

Identity failed_lookup(std::string detail) {
  Identity identity;
  identity.reason = Reason::lookup_failed;
  identity.detail = std::move(detail);
  return identity;
}

}  // namespace

// One question, shared by its Lookup, the queue and what is posted to its loop, because each of
// them may be the last to know of it. What the loop's thread alone touches is in the Lookup.
class QueuedResolver::Ticket {
 public:
  Ticket(const Connection& connection, net::Loop& loop) : connection_(connection), loop_(&loop) {}

  [[nodiscard]] const Connection& connection() const { return connection_; }

  // The loop's thread. No answer is posted afterwards, and one that was finds nobody.
  void cancel() {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
    lookup_ = nullptr;
  }

  void set_lookup(QueuedLookup* lookup) {
    const std::lock_guard lock(mutex_);
    lookup_ = lookup;
  }

  // Any thread. Whether nobody waits for an answer any more.
  [[nodiscard]] bool settled() const {
    const std::lock_guard lock(mutex_);
    return answered_ || loop_ == nullptr;
  }

  // Any thread; the first answer counts.
  static void answer(const std::shared_ptr<Ticket>& ticket, Identity identity);
  // Any thread. Starts the deadline on the loop's thread.
  static void arm(const std::shared_ptr<Ticket>& ticket, std::chrono::milliseconds deadline);

 private:
  const Connection connection_;
  mutable std::mutex mutex_;  // guards what follows
  net::Loop* loop_;           // nullptr once cancelled
  QueuedLookup* lookup_ = nullptr;
  bool answered_ = false;
};

class QueuedResolver::QueuedLookup final : public Lookup {
 public:
  QueuedLookup(std::shared_ptr<Ticket> ticket, net::Loop& loop, Callback callback)
      : ticket_(std::move(ticket)), loop_(loop), callback_(std::move(callback)) {
    ticket_->set_lookup(this);
  }
  ~QueuedLookup() override { ticket_->cancel(); }

  void start_deadline(Clock::time_point at, std::chrono::milliseconds deadline) {
    timer_.emplace(loop_, [ticket = ticket_, deadline] {
      Ticket::answer(ticket,
                     failed_lookup("no answer within " + std::to_string(deadline.count()) + " ms"));
    });
    timer_->start(std::chrono::ceil<std::chrono::milliseconds>(at - Clock::now()));
  }

  void deliver(Identity identity) {
    if (timer_) timer_->stop();
    const Callback callback = std::exchange(callback_, nullptr);
    callback(std::move(identity));
  }

 private:
  std::shared_ptr<Ticket> ticket_;
  net::Loop& loop_;
  Callback callback_;
  std::optional<net::Timer> timer_;
};

// One that needs nothing any more but to hand on its answer in a later turn of the loop. All of it
// is of the loop's thread.
class QueuedResolver::AnsweredLookup final : public Lookup {
 public:
  AnsweredLookup(net::Loop& loop, std::function<void()> hand_on)
      : hand_on_(std::make_shared<std::function<void()>>(std::move(hand_on))) {
    loop.post([hand_on = hand_on_] {
      // Moved out first: it may destroy this lookup.
      if (const auto once = std::exchange(*hand_on, nullptr)) once();
    });
  }
  ~AnsweredLookup() override { *hand_on_ = nullptr; }
  AnsweredLookup(const AnsweredLookup&) = delete;
  AnsweredLookup& operator=(const AnsweredLookup&) = delete;

 private:
  std::shared_ptr<std::function<void()>> hand_on_;
};

void QueuedResolver::Ticket::answer(const std::shared_ptr<Ticket>& ticket, Identity identity) {
  // Posted under the lock: the loop is there as long as the lookup is.
  const std::lock_guard lock(ticket->mutex_);
  if (ticket->answered_ || ticket->loop_ == nullptr) return;
  ticket->answered_ = true;
  ticket->loop_->post([ticket, identity = std::move(identity)]() mutable {
    // Only this thread sets lookup_ to nullptr.
    QueuedLookup* lookup = nullptr;
    {
      const std::lock_guard inner(ticket->mutex_);
      lookup = ticket->lookup_;
    }
    if (lookup != nullptr) lookup->deliver(std::move(identity));
  });
}

void QueuedResolver::Ticket::arm(const std::shared_ptr<Ticket>& ticket,
                                 std::chrono::milliseconds deadline) {
  const auto at = Clock::now() + deadline;
  const std::lock_guard lock(ticket->mutex_);
  if (ticket->loop_ == nullptr) return;
  ticket->loop_->post([ticket, at, deadline] {
    QueuedLookup* lookup = nullptr;
    {
      const std::lock_guard inner(ticket->mutex_);
      if (!ticket->answered_) lookup = ticket->lookup_;
    }
    if (lookup != nullptr) lookup->start_deadline(at, deadline);
  });
}

QueuedResolver::QueuedResolver(std::unique_ptr<Investigator> investigator, QueueLimits limits)
    : limits_(limits), investigator_(std::move(investigator)), thread_([this] { work(); }) {}

QueuedResolver::~QueuedResolver() {
  std::deque<std::shared_ptr<Ticket>> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    dropped.swap(waiting_);
  }
  wake_.notify_one();
  thread_.join();
}

// What begins here begins after the call, as a confirmation needs it: nothing is shared with a look
// that has begun.
std::optional<Identity> QueuedResolver::look_at_once(const Connection& connection) {
  {
    // The thread and those that wait for it come first.
    const std::lock_guard lock(mutex_);
    if (busy_ || !waiting_.empty()) return std::nullopt;
  }
  const std::unique_lock looking(looking_, std::try_to_lock);
  if (!looking) return std::nullopt;
  const auto begin = Clock::now();
  if (begin < slow_until_) return std::nullopt;
  auto identity = investigator_->look_at_once(connection);
  const auto end = Clock::now();
  if (end - begin > kSlow)
    slow_until_ = end + std::min<Clock::duration>((end - begin) * kPauseFactor, kLongestPause);
  if (identity) at_once_.fetch_add(1, std::memory_order_relaxed);
  return identity;
}

std::unique_ptr<Lookup> QueuedResolver::start(const Connection& connection, net::Loop& loop,
                                              Callback callback) {
  auto identity = look_at_once(connection);
  if (!identity) return enqueue(connection, loop, std::move(callback));
  return std::make_unique<AnsweredLookup>(
      loop, [identity = std::move(*identity), callback = std::move(callback)]() mutable {
        callback(std::move(identity));
      });
}

std::unique_ptr<Lookup> QueuedResolver::enqueue(const Connection& connection, net::Loop& loop,
                                                Callback callback) {
  auto ticket = std::make_shared<Ticket>(connection, loop);
  auto lookup = std::make_unique<QueuedLookup>(ticket, loop, std::move(callback));
  submit(ticket);
  return lookup;
}

std::unique_ptr<Lookup> QueuedResolver::confirm(const Connection& connection,
                                                const Identity& before, net::Loop& loop,
                                                ConfirmCallback callback) {
  if (const auto now = look_at_once(connection))
    return std::make_unique<AnsweredLookup>(
        loop, [change = difference(before, *now), callback = std::move(callback)]() mutable {
          callback(std::move(change));
        });
  // What starts now begins after this call: waiting lookups are only ever taken by a new walk.
  return enqueue(connection, loop, [before, callback = std::move(callback)](const Identity& now) {
    callback(difference(before, now));
  });
}

void QueuedResolver::submit(const std::shared_ptr<Ticket>& ticket) {
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= limits_.max_waiting)
      std::erase_if(waiting_, [](const auto& waiting) { return waiting->settled(); });
    if (waiting_.size() < limits_.max_waiting) {
      waiting_.push_back(ticket);
      Ticket::arm(ticket, limits_.deadline);
      wake_.notify_one();
      return;
    }
  }
  Ticket::answer(ticket, failed_lookup("too many lookups are waiting: " +
                                       std::to_string(limits_.max_waiting)));
}

void QueuedResolver::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (stopping_) return;
    std::deque<std::shared_ptr<Ticket>> batch;
    batch.swap(waiting_);
    busy_ = true;
    lock.unlock();
    std::erase_if(batch, [](const auto& ticket) { return ticket->settled(); });
    if (!batch.empty()) {
      std::vector<Connection> connections;
      connections.reserve(batch.size());
      for (const auto& ticket : batch) connections.push_back(ticket->connection());
      walks_.fetch_add(1, std::memory_order_relaxed);
      std::unique_lock looking(looking_);
      auto identities = investigator_->look(connections);
      looking.unlock();
      for (std::size_t i = 0; i < batch.size(); ++i)
        Ticket::answer(batch[i], std::move(identities[i]));
    }
    batch.clear();
    lock.lock();
    busy_ = false;
  }
}

}  // namespace warder::identity
