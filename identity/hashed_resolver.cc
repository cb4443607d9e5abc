#include "identity/hashed_resolver.h"

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "net/timer.h"

namespace warder::identity {

// Shared by a lookup, the images that are read for it and what is posted to its loop. What the
// loop's thread alone touches is in the lookup.
class HashedResolver::Ticket final : public ImageHashes::Waiter {
 public:
  Ticket(net::Loop& loop, HashedLookup& lookup) : loop_(&loop), lookup_(&lookup) {}

  void set_self(std::weak_ptr<Ticket> self) { self_ = std::move(self); }

  // The loop's thread. Nothing is posted afterwards, and what was finds nobody.
  void cancel() {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
    lookup_ = nullptr;
  }
  [[nodiscard]] bool wanted() const override {
    const std::lock_guard lock(mutex_);
    return loop_ != nullptr;
  }
  void hashed(const FileId& image, const ImageHash& hash) override;
  void time_out();

 private:
  void post(std::function<void(HashedLookup&)> what);

  std::weak_ptr<Ticket> self_;
  mutable std::mutex mutex_;  // guards what follows
  net::Loop* loop_;           // nullptr once nothing is wanted any more
  HashedLookup* lookup_;
};

class HashedResolver::HashedLookup final : public Lookup {
 public:
  HashedLookup(ImageHashes& hashes, net::Loop& loop, Callback callback)
      : hashes_(hashes),
        loop_(loop),
        callback_(std::move(callback)),
        ticket_(std::make_shared<Ticket>(loop, *this)) {
    ticket_->set_self(ticket_);
  }
  ~HashedLookup() override { ticket_->cancel(); }

  void start(Resolver& inner, const Connection& connection) {
    inner_ = inner.start(connection, loop_,
                         [this](Identity identity) { on_identity(std::move(identity)); });
  }
  void on_hash(const FileId& image, const ImageHash& hash) {
    if (std::erase(missing_, image) == 0) return;
    set(image, hash);
    if (missing_.empty()) finish();
  }
  void on_timeout() {
    if (Clock::now() < deadline_) {
      hashes_.look_after();
      return wait();
    }
    for (const FileId& image : missing_) set(image, hashes_.limits().late());
    missing_.clear();
    finish();
  }

 private:
  using Clock = std::chrono::steady_clock;
  void on_identity(Identity identity);
  // For the end, and to look after what is waited for on the way there.
  void wait() {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline_ - Clock::now());
    timer_->start(std::clamp(left, std::chrono::milliseconds(0), hashes_.limits().slice));
  }
  void set(const FileId& image, const ImageHash& hash);
  void finish();

  ImageHashes& hashes_;
  net::Loop& loop_;
  Callback callback_;
  std::shared_ptr<Ticket> ticket_;
  std::unique_ptr<Lookup> inner_;
  Identity identity_;
  std::vector<FileId> missing_;  // images whose hashes are awaited
  std::optional<net::Timer> timer_;
  Clock::time_point deadline_;
};

void HashedResolver::Ticket::post(std::function<void(HashedLookup&)> what) {
  // Posted under the lock: the loop is there as long as the lookup is.
  const std::lock_guard lock(mutex_);
  if (loop_ == nullptr) return;
  loop_->post([ticket = self_.lock(), what = std::move(what)] {
    HashedLookup* lookup = nullptr;
    {
      const std::lock_guard inner(ticket->mutex_);
      lookup = ticket->lookup_;
    }
    if (lookup != nullptr) what(*lookup);
  });
}

void HashedResolver::Ticket::hashed(const FileId& image, const ImageHash& hash) {
  post([image, hash](HashedLookup& lookup) { lookup.on_hash(image, hash); });
}

void HashedResolver::Ticket::time_out() {
  post([](HashedLookup& lookup) { lookup.on_timeout(); });
}

void HashedResolver::HashedLookup::on_identity(Identity identity) {
  identity_ = std::move(identity);
  std::vector<std::pair<pid_t, FileId>> unknown;
  for (Process& process : identity_.processes) {
    if (process.image == FileId{} || process.pid == 0) {
      process.sha256_missing = "the process can't be looked into";
      continue;
    }
    if (process.sha256 || !process.sha256_missing.empty()) continue;  // of one with the same image
    if (std::find(missing_.begin(), missing_.end(), process.image) != missing_.end()) continue;
    if (const auto known = hashes_.known(process.pid, process.image)) {
      set(process.image, *known);
      continue;
    }
    missing_.push_back(process.image);
    unknown.emplace_back(process.pid, process.image);
  }
  if (unknown.empty()) return finish();
  timer_.emplace(loop_, [ticket = ticket_] { ticket->time_out(); });
  deadline_ = Clock::now() + hashes_.limits().timeout;
  wait();
  for (const auto& [pid, image] : unknown) hashes_.compute(pid, image, ticket_);
}

void HashedResolver::HashedLookup::set(const FileId& image, const ImageHash& hash) {
  for (Process& process : identity_.processes) {
    if (process.image != image) continue;
    process.sha256 = hash.sha256;
    process.sha256_missing = hash.missing;
  }
}

// Last of whatever calls it: the callback may destroy this.
void HashedResolver::HashedLookup::finish() {
  if (timer_) timer_->stop();
  ticket_->cancel();
  const Callback callback = std::exchange(callback_, nullptr);
  if (callback) callback(std::move(identity_));
}

HashedResolver::HashedResolver(std::unique_ptr<Resolver> inner, std::unique_ptr<ImageHashes> hashes)
    : hashes_(std::move(hashes)), inner_(std::move(inner)) {}

HashedResolver::~HashedResolver() = default;

std::unique_ptr<Lookup> HashedResolver::start(const Connection& connection, net::Loop& loop,
                                              Callback callback) {
  auto lookup = std::make_unique<HashedLookup>(*hashes_, loop, std::move(callback));
  lookup->start(*inner_, connection);
  return lookup;
}

std::unique_ptr<Lookup> HashedResolver::confirm(const Connection& connection,
                                                const Identity& before, net::Loop& loop,
                                                ConfirmCallback callback) {
  return inner_->confirm(connection, before, loop, std::move(callback));
}

}  // namespace warder::identity
