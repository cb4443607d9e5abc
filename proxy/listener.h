#pragma once

#include <functional>
#include <memory>

#include "net/loop.h"
#include "net/result.h"
#include "net/socket.h"
#include "net/timer.h"
#include "net/watcher.h"
#include "proxy/record.h"

namespace warder::proxy {

// Accepts connections on one address, a bounded number a turn. Out of descriptors it rests for a
// moment instead of spinning: the connections wait in the backlog.
class Listener final : net::FdWatcher::Listener {
 public:
  using OnAccept = std::function<void(net::Accepted)>;

  // Listens at once. `loop` and `records` outlive the listener.
  static Result<std::unique_ptr<Listener>> create(net::Loop& loop, RecordSink& records,
                                                  const net::Endpoint& at, OnAccept on_accept);
  ~Listener() = default;

  [[nodiscard]] const net::Endpoint& address() const { return address_; }

 private:
  Listener(net::Loop& loop, RecordSink& records, net::UniqueFd fd, OnAccept on_accept);
  void on_ready(net::FdWatcher& watcher, net::Readiness readiness) override;
  void rest(const Error& error);

  RecordSink& records_;
  OnAccept on_accept_;
  net::UniqueFd fd_;
  net::Endpoint address_;
  std::unique_ptr<net::FdWatcher> watcher_;
  net::Timer rest_timer_;
  bool resting_told_ = false;
};

}  // namespace warder::proxy
