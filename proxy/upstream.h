#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "net/loop.h"
#include "net/socket.h"
#include "net/watcher.h"
#include "proxy/dialer.h"

namespace warder::proxy {

// One connection to an origin, which may carry one request after the other.
class Upstream final : net::FdWatcher::Listener {
 public:
  // Whoever has the connection at present.
  class User {
   public:
    // Runs on a stack of its own. The connection may be destroyed only through Loop::retire.
    virtual void on_upstream_ready(Upstream& upstream, net::Readiness readiness) = 0;

   protected:
    ~User() = default;
  };

  // `loop` outlives the connection. Errors: those of FdWatcher.
  [[nodiscard]] static Result<std::unique_ptr<Upstream>> create(net::Loop& loop, Dialled dialled);
  Upstream(const Upstream&) = delete;
  Upstream& operator=(const Upstream&) = delete;
  ~Upstream() = default;

  // `user` is told from now on, until another one is given.
  void give_to(User& user) { user_ = &user; }
  void watch(net::Readiness interest) { watcher_->watch(interest); }
  [[nodiscard]] Result<net::Transfer> read(std::span<char> into);
  [[nodiscard]] Result<net::Transfer> write(std::span<const char> bytes);
  // Nothing is to be read: neither the end nor a byte that nobody asked for.
  [[nodiscard]] bool quiet() const;

  // A request and its answer went over it.
  void exchange_done();
  // It has carried a request before, and of what was written since then the other end's kernel has
  // acknowledged nothing. Where the connection ended in order, nothing of it was read there: that
  // end acknowledges what came before it. A reset does not.
  [[nodiscard]] bool untouched() const;

  [[nodiscard]] const net::Endpoint& endpoint() const { return endpoint_; }
  // Synchronous: the user hears nothing afterwards. The next close sends a reset.
  void abort();
  // Ends the watching and gives the descriptor away.
  [[nodiscard]] net::UniqueFd release();

 private:
  Upstream(net::UniqueFd fd, net::Endpoint endpoint);
  void on_ready(net::FdWatcher& watcher, net::Readiness readiness) override;
  net::UniqueFd fd_;
  net::Endpoint endpoint_;
  std::unique_ptr<net::FdWatcher> watcher_;  // after fd_: gone before the descriptor is closed
  User* user_ = nullptr;
  std::uint64_t written_ = 0;         // bytes in all
  std::uint64_t written_before_ = 0;  // of exchanges that are done
};

}  // namespace warder::proxy
