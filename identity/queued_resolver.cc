#include "identity/queued_resolver.h"

#include <optional>
#include <utility>

#include "net/timer.h"

namespace warder::identity {
namespace {

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

  void start_deadline(std::chrono::steady_clock::time_point at,
                      std::chrono::milliseconds deadline) {
    timer_.emplace(loop_, [ticket = ticket_, deadline] {
      Ticket::answer(ticket,
                     failed_lookup("no answer within " + std::to_string(deadline.count()) + " ms"));
    });
    timer_->start(
        std::chrono::ceil<std::chrono::milliseconds>(at - std::chrono::steady_clock::now()));
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
  const auto at = std::chrono::steady_clock::now() + deadline;
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
    : investigator_(std::move(investigator)), limits_(limits), thread_([this] { work(); }) {}

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

std::unique_ptr<Lookup> QueuedResolver::start(const Connection& connection, net::Loop& loop,
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
  return start(connection, loop, [before, callback = std::move(callback)](const Identity& now) {
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
    lock.unlock();
    std::erase_if(batch, [](const auto& ticket) { return ticket->settled(); });
    if (!batch.empty()) {
      std::vector<Connection> connections;
      connections.reserve(batch.size());
      for (const auto& ticket : batch) connections.push_back(ticket->connection());
      walks_.fetch_add(1, std::memory_order_relaxed);
      auto identities = investigator_->look(connections);
      for (std::size_t i = 0; i < batch.size(); ++i)
        Ticket::answer(batch[i], std::move(identities[i]));
    }
    batch.clear();
    lock.lock();
  }
}

}  // namespace warder::identity
