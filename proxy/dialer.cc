#include "proxy/dialer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "net/socket.h"
#include "net/timer.h"
#include "net/watcher.h"

namespace warder::proxy {
namespace {

// RFC 8305, section 5: "Connection Attempt Delay".
constexpr std::chrono::milliseconds kAttemptDelay{250};

using DialCallback = std::function<void(Result<Dialled>)>;

// RFC 8305, section 4: families take turns, beginning with the one the resolver put first.
std::vector<net::Endpoint> interleaved(const std::vector<net::IpAddress>& addresses,
                                       std::uint16_t port) {
  std::vector<net::Endpoint> first;
  std::vector<net::Endpoint> second;
  for (const auto& address : addresses) {
    auto& family = address.is_v4() == addresses.front().is_v4() ? first : second;
    family.push_back({address, port});
  }
  std::vector<net::Endpoint> ordered;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) ordered.push_back(first[i]);
    if (i < second.size()) ordered.push_back(second[i]);
  }
  return ordered;
}

class Dialling;

// One socket that is connecting.
class Attempt final : public net::FdWatcher::Listener {
 public:
  Attempt(Dialling& dialling, net::UniqueFd fd, const net::Endpoint& to)
      : dialling_(dialling), fd_(std::move(fd)), to_(to) {}

  Result<void> begin(net::Loop& loop) {
    auto watcher = net::FdWatcher::create(loop, fd_.get(), *this);
    if (!watcher) return fail(std::move(watcher.error()));
    watcher_ = std::move(*watcher);
    watcher_->watch({false, true});
    return {};
  }

  [[nodiscard]] const net::Endpoint& to() const { return to_; }

  // Stops, and gives the descriptor away.
  [[nodiscard]] net::UniqueFd take() {
    watcher_.reset();
    return std::move(fd_);
  }

 private:
  void on_ready(net::FdWatcher& watcher, net::Readiness readiness) override;

  Dialling& dialling_;
  net::UniqueFd fd_;
  std::unique_ptr<net::FdWatcher> watcher_;
  net::Endpoint to_;
};

class Dialling {
 public:
  Dialling(net::Loop& loop, std::vector<net::Endpoint> endpoints, DialCallback callback)
      : loop_(loop),
        endpoints_(std::move(endpoints)),
        callback_(std::move(callback)),
        next_attempt_(loop, [this] { attempt_next(); }),
        deadline_(loop, [this] { report(); }) {}

  void begin(std::chrono::milliseconds timeout) {
    deadline_.start(timeout);
    attempt_next();
  }

  void cancel() {
    next_attempt_.stop();
    deadline_.stop();
    end_attempts();
  }

  // `error` is what became of the attempt's socket; 0 is a connection.
  void settled(Attempt& attempt, int error) {
    net::UniqueFd fd = attempt.take();
    if (error == 0) return finish(Dialled{std::move(fd), attempt.to()});
    last_error_ = from_errno(error, "connecting to " + attempt.to().text());
    bury(attempt);
    attempt_next();
  }

 private:
  void attempt_next() {
    while (next_ < endpoints_.size()) {
      const auto begun = attempt(endpoints_[next_++]);
      if (begun) return next_attempt_.start(kAttemptDelay);
      last_error_ = begun.error();
    }
    next_attempt_.stop();
    if (attempts_.empty()) finish(fail(last_error_));
  }

  Result<void> attempt(const net::Endpoint& to) {
    auto fd = net::start_connect(to);
    if (!fd) return fail(std::move(fd.error()));
    auto attempt = std::make_unique<Attempt>(*this, std::move(*fd), to);
    if (auto begun = attempt->begin(loop_); !begun) return begun;
    attempts_.push_back(std::move(attempt));
    return {};
  }

  // Told from the deadline's timer: never on the stack of dial() or of an attempt.
  void finish(Result<Dialled> result) {
    result_ = std::move(result);
    next_attempt_.stop();
    end_attempts();
    deadline_.start(std::chrono::milliseconds(0));
  }

  void report() {
    auto result = result_ ? std::move(*result_) : timed_out();
    cancel();
    const auto callback = std::move(callback_);
    callback(std::move(result));
  }

  [[nodiscard]] Result<Dialled> timed_out() const {
    return fail(Errc::timed_out, "connecting to " + endpoints_.front().text());
  }

  // An attempt may be the one whose function is on the stack.
  void bury(Attempt& attempt) {
    const auto found =
        std::find_if(attempts_.begin(), attempts_.end(),
                     [&attempt](const auto& held) { return held.get() == &attempt; });
    auto dead = std::move(*found);
    attempts_.erase(found);
    loop_.retire(std::move(dead));
  }

  void end_attempts() {
    for (auto& attempt : attempts_) {
      attempt->take().reset();
      loop_.retire(std::move(attempt));
    }
    attempts_.clear();
  }

  net::Loop& loop_;
  std::vector<net::Endpoint> endpoints_;
  DialCallback callback_;
  std::size_t next_ = 0;
  std::vector<std::unique_ptr<Attempt>> attempts_;
  Error last_error_;
  std::optional<Result<Dialled>> result_;
  net::Timer next_attempt_;
  net::Timer deadline_;
};

void Attempt::on_ready(net::FdWatcher& /*watcher*/, net::Readiness /*readiness*/) {
  dialling_.settled(*this, net::so_error(fd_.get()));
}

// The caller's end.
class OwnedDial final : public Dial {
 public:
  OwnedDial(net::Loop& loop, std::unique_ptr<Dialling> dialling)
      : loop_(loop), dialling_(std::move(dialling)) {}
  ~OwnedDial() override {
    dialling_->cancel();
    loop_.retire(std::move(dialling_));
  }
  OwnedDial(const OwnedDial&) = delete;
  OwnedDial& operator=(const OwnedDial&) = delete;

 private:
  net::Loop& loop_;
  std::unique_ptr<Dialling> dialling_;
};

}  // namespace

std::unique_ptr<Dial> dial(net::Loop& loop, const std::vector<net::IpAddress>& addresses,
                           std::uint16_t port, std::chrono::milliseconds timeout,
                           DialCallback callback) {
  auto dialling =
      std::make_unique<Dialling>(loop, interleaved(addresses, port), std::move(callback));
  dialling->begin(timeout);
  return std::make_unique<OwnedDial>(loop, std::move(dialling));
}

}  // namespace warder::proxy
