#include "identity/queued_resolver.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "net/timer.h"

namespace warder::identity {
namespace {

using Clock = std::chrono::steady_clock;

// Looked at together.
constexpr std::size_t kMostAtOnce = 32;
// After a slow look.
constexpr int kPauseFactor = 8;
constexpr std::chrono::seconds kLongestLookPause{1};
// For another loop's look. To have the thread look instead takes longer than that.
constexpr std::chrono::microseconds kPatience{50};

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

// The lookups that were started in one turn of a loop. All of it is of the loop's thread.
struct QueuedResolver::Turn {
  std::vector<TurnLookup*> lookups;  // nullptr: destroyed, or not of this turn any more
  bool over = false;
};

// One that is looked at with those of its turn, or else waits in the queue.
class QueuedResolver::TurnLookup final : public Lookup {
 public:
  TurnLookup(QueuedResolver& resolver, const Target& target, net::Loop& loop, Callback callback)
      : resolver_(resolver), target_(target), loop_(loop), callback_(std::move(callback)) {}
  ~TurnLookup() override { leave(); }
  TurnLookup(const TurnLookup&) = delete;
  TurnLookup& operator=(const TurnLookup&) = delete;

  [[nodiscard]] const Target& target() const { return target_; }

  void join(std::shared_ptr<Turn> turn) {
    place_ = turn->lookups.size();
    turn->lookups.push_back(this);
    turn_ = std::move(turn);
  }
  // Last of whatever calls it: the callback may destroy this, the turn's others and the resolver.
  void conclude(std::optional<Identity> identity) {
    leave();
    if (!identity) {
      queued_ = resolver_.enqueue(target_.connection, loop_, std::move(callback_));
      return;
    }
    const Callback callback = std::exchange(callback_, nullptr);
    callback(std::move(*identity));
  }

 private:
  void leave() {
    if (turn_) turn_->lookups[place_] = nullptr;
    turn_.reset();
  }

  QueuedResolver& resolver_;
  const Target target_;
  net::Loop& loop_;
  Callback callback_;
  std::shared_ptr<Turn> turn_;  // while it waits for the end of it
  std::size_t place_ = 0;
  std::unique_ptr<Lookup> queued_;
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

// Looks at its lookups a part at a time, so that callbacks of the first need not wait for the last.
void QueuedResolver::look_at_once(Turn& turn) {
  turn.over = true;
  std::vector<Target> targets;
  std::vector<std::size_t> places;
  for (std::size_t next = 0; next < turn.lookups.size();) {
    targets.clear();
    places.clear();
    for (; next < turn.lookups.size() && places.size() < kMostAtOnce; ++next) {
      if (turn.lookups[next] == nullptr) continue;
      targets.push_back(turn.lookups[next]->target());
      places.push_back(next);
    }
    // As long as there is one of them, the resolver is there too.
    if (places.empty()) return;
    auto identities = look_at_once(targets);
    for (std::size_t i = 0; i < places.size(); ++i)
      if (TurnLookup* const lookup = turn.lookups[places[i]])
        lookup->conclude(std::move(identities[i]));
  }
}

// What begins here begins after the call, as a confirmation needs it: nothing is shared with a look
// that has begun.
std::vector<std::optional<Identity>> QueuedResolver::look_at_once(std::span<const Target> targets) {
  std::vector<std::optional<Identity>> none(targets.size());
  std::unique_lock looking(looking_, std::defer_lock);
  if (!take_investigator(looking)) return none;
  const auto begin = Clock::now();
  if (begin < slow_until_) return none;
  auto identities = investigator_->look_at_once(targets);
  const auto end = Clock::now();
  if (end - begin > limits_.slow)
    slow_until_ = end + std::min<Clock::duration>((end - begin) * kPauseFactor, kLongestLookPause);
  const auto known = std::count_if(identities.begin(), identities.end(),
                                   [](const auto& identity) { return identity.has_value(); });
  at_once_.fetch_add(static_cast<std::uint64_t>(known), std::memory_order_relaxed);
  return identities;
}

bool QueuedResolver::take_investigator(std::unique_lock<std::mutex>& looking) {
  const auto until = Clock::now() + kPatience;
  for (;;) {
    {
      // The thread and those that wait for it come first.
      const std::lock_guard lock(mutex_);
      if (busy_ || !waiting_.empty()) return false;
    }
    if (looking.try_lock()) return true;
    if (Clock::now() >= until) return false;
    std::this_thread::yield();
  }
}

void QueuedResolver::join(TurnLookup& lookup, net::Loop& loop) {
  std::shared_ptr<Turn> turn;
  bool begun = false;
  {
    const std::lock_guard lock(mutex_);
    std::weak_ptr<Turn>& latest = turns_[&loop];
    turn = latest.lock();
    begun = turn == nullptr || turn->over;
    if (begun) latest = turn = std::make_shared<Turn>();
  }
  lookup.join(turn);
  if (!begun) return;
  loop.post([this, turn = std::move(turn)] { look_at_once(*turn); });
}

std::unique_ptr<Lookup> QueuedResolver::start(const Connection& connection, net::Loop& loop,
                                              Callback callback) {
  return look_for({connection}, loop, std::move(callback));
}

std::unique_ptr<Lookup> QueuedResolver::look_for(const Target& target, net::Loop& loop,
                                                 Callback callback) {
  auto lookup = std::make_unique<TurnLookup>(*this, target, loop, std::move(callback));
  join(*lookup, loop);
  return lookup;
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
  // What starts now begins after this call: waiting lookups are only ever taken by a new walk.
  return look_for({connection, true}, loop,
                  [&before, callback = std::move(callback)](const Identity& now) {
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
