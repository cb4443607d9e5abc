#include "proxy/relay.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "net/socket.h"
#include "net/timer.h"
#include "net/watcher.h"
#include "proxy/pump.h"

namespace warder::proxy {
namespace {

using RelayCallback = std::function<void(RelayEnd)>;

// One of the two connections.
struct Side {
  net::UniqueFd fd;
  std::unique_ptr<net::FdWatcher> watcher;  // after fd: gone before the descriptor is closed

  void close() {
    watcher.reset();
    fd.reset();
  }
};

// Passes an abort on, so that what was cut short doesn't look whole. Not while bytes are on their
// way, which a reset would discard: then an orderly end is the lesser evil.
void abort_if_delivered(int fd) {
  int unsent = 0;
  if (::ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent == 0) net::reset_on_close(fd);
}

class Session final : public net::FdWatcher::Listener {
 public:
  Session(net::Loop& loop, net::UniqueFd client, net::UniqueFd origin, const std::string& to_origin,
          const std::string& to_client, const RelayOptions& options, RelayCallback callback)
      : loop_(loop),
        options_(options),
        callback_(std::move(callback)),
        client_{std::move(client), nullptr},
        origin_{std::move(origin), nullptr},
        up_(client_.fd.get(), origin_.fd.get(), to_origin, 0),
        down_(origin_.fd.get(), client_.fd.get(), to_client, to_client.size()),
        clock_(loop, [this] { on_clock(); }) {}

  Result<void> begin() {
    for (Side* side : {&client_, &origin_}) {
      auto watcher = net::FdWatcher::create(loop_, side->fd.get(), *this);
      if (!watcher) return fail(std::move(watcher.error()));
      side->watcher = std::move(*watcher);
      net::set_nodelay(side->fd.get());
    }
    note_activity();
    clock_.start(options_.idle);
    run(true, true);
    return {};
  }

  // The callback learns it on a later turn, from the clock.
  void finish(ClosedBy closed_by, std::string reason) {
    if (end_) return;
    end_ = RelayEnd{up_.moved(), down_.moved(), closed_by, std::move(reason)};
    close();
    clock_.start(std::chrono::milliseconds(0));
  }

  void cancel() {
    clock_.stop();
    close();
  }

  [[nodiscard]] const Pump& up() const { return up_; }
  [[nodiscard]] const Pump& down() const { return down_; }

 private:
  void on_ready(net::FdWatcher& watcher, net::Readiness readiness) override {
    const bool client = &watcher == client_.watcher.get();
    run(client ? readiness.readable : readiness.writable,
        client ? readiness.writable : readiness.readable);
  }

  void run(bool up, bool down) {
    bool happened = up && up_.run();
    happened = (down && down_.run()) || happened;
    // A connection that broke while it was written to may have left an answer to be read.
    if (up_.failure() == Pump::Failure::sink) happened = down_.run() || happened;
    if (down_.failure() == Pump::Failure::sink) happened = up_.run() || happened;
    if (happened) note_activity();
    if (settle()) return;
    client_.watcher->watch({up_.wants_read(), down_.wants_write()});
    origin_.watcher->watch({down_.wants_read(), up_.wants_write()});
  }

  // True when the relay is over.
  bool settle() {
    if (!first_ended_ && up_.source_ended()) first_ended_ = ClosedBy::client;
    if (!first_ended_ && down_.source_ended()) first_ended_ = ClosedBy::origin;
    const bool client_broke = up_.failure() == Pump::Failure::source;
    const bool origin_broke = down_.failure() == Pump::Failure::source;
    if (!client_broke && !origin_broke && !(up_.ended() && down_.ended())) {
      if (!draining_ && (up_.ended() || down_.ended())) {
        draining_ = true;
        clock_.start(quiet_limit());
      }
      return false;
    }
    if (client_broke || down_.failure() == Pump::Failure::sink) {
      abort_if_delivered(origin_.fd.get());
      finish(ClosedBy::client, "reset");
    } else if (origin_broke || up_.failure() == Pump::Failure::sink) {
      abort_if_delivered(client_.fd.get());
      finish(ClosedBy::origin, "reset");
    } else {
      finish(*first_ended_, "end");
    }
    return true;
  }

  void note_activity() { last_activity_ms_ = loop_.now_ms(); }

  [[nodiscard]] std::chrono::milliseconds quiet_limit() const {
    return draining_ ? std::min(options_.drain, options_.idle) : options_.idle;
  }

  // Not started anew for every byte: it looks, when it rings, how long it has been quiet.
  void on_clock() {
    if (end_) return report();
    const std::chrono::milliseconds quiet(loop_.now_ms() - last_activity_ms_);
    if (quiet < quiet_limit()) return clock_.start(quiet_limit() - quiet);
    finish(ClosedBy::proxy, draining_ ? "drain" : "idle");
  }

  void report() {
    const auto callback = std::move(callback_);
    callback(std::move(*end_));
  }

  void close() {
    up_.close();
    down_.close();
    client_.close();
    origin_.close();
  }

  net::Loop& loop_;
  RelayOptions options_;
  RelayCallback callback_;
  Side client_;
  Side origin_;
  Pump up_;
  Pump down_;
  std::uint64_t last_activity_ms_ = 0;
  bool draining_ = false;  // one direction has ended
  std::optional<ClosedBy> first_ended_;
  std::optional<RelayEnd> end_;
  net::Timer clock_;
};

// The caller's end.
class OwnedRelay final : public Relay {
 public:
  OwnedRelay(net::Loop& loop, std::unique_ptr<Session> session)
      : loop_(loop), session_(std::move(session)) {}
  ~OwnedRelay() override {
    session_->cancel();
    loop_.retire(std::move(session_));
  }
  OwnedRelay(const OwnedRelay&) = delete;
  OwnedRelay& operator=(const OwnedRelay&) = delete;

  void end(std::string reason) override { session_->finish(ClosedBy::proxy, std::move(reason)); }
  [[nodiscard]] std::uint64_t bytes_up() const override { return session_->up().moved(); }
  [[nodiscard]] std::uint64_t bytes_down() const override { return session_->down().moved(); }

 private:
  net::Loop& loop_;
  std::unique_ptr<Session> session_;
};

}  // namespace

Result<std::unique_ptr<Relay>> start_relay(net::Loop& loop, net::UniqueFd client,
                                           net::UniqueFd origin, const std::string& to_origin,
                                           const std::string& to_client, RelayOptions options,
                                           RelayCallback callback) {
  auto session = std::make_unique<Session>(loop, std::move(client), std::move(origin), to_origin,
                                           to_client, options, std::move(callback));
  if (auto begun = session->begin(); !begun) return fail(std::move(begun.error()));
  return std::make_unique<OwnedRelay>(loop, std::move(session));
}

}  // namespace warder::proxy
