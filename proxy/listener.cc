#include "proxy/listener.h"

#include <fmt/format.h>

#include <utility>

namespace warder::proxy {

namespace {

constexpr int kBacklog = 4096;  // the kernel lowers it to net.core.somaxconn
constexpr int kAcceptsPerTurn = 64;
constexpr std::chrono::milliseconds kRest{100};

}  // namespace

Result<std::unique_ptr<Listener>> Listener::create(net::Loop& loop, RecordSink& records,
                                                   const net::Endpoint& at, OnAccept on_accept) {
  Result<net::UniqueFd> fd = net::listen_tcp(at, kBacklog, net::PortSharing::shared);
  if (!fd) return fail(fd.error());
  std::unique_ptr<Listener> listener(
      new Listener(loop, records, std::move(*fd), std::move(on_accept)));
  const Result<net::Endpoint> address = net::local_endpoint(listener->fd_.get());
  if (!address) return fail(address.error());
  listener->address_ = *address;
  Result<std::unique_ptr<net::FdWatcher>> watcher =
      net::FdWatcher::create(loop, listener->fd_.get(), *listener);
  if (!watcher) return fail(watcher.error());
  listener->watcher_ = std::move(*watcher);
  listener->watcher_->watch({.readable = true});
  return listener;
}

Listener::Listener(net::Loop& loop, RecordSink& records, net::UniqueFd fd, OnAccept on_accept)
    : records_(records),
      on_accept_(std::move(on_accept)),
      fd_(std::move(fd)),
      rest_timer_(loop, [this] { watcher_->watch({.readable = true}); }) {}

void Listener::on_ready(net::FdWatcher&, net::Readiness) {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    Result<std::optional<net::Accepted>> accepted = net::accept_tcp(fd_.get());
    if (!accepted) return rest(accepted.error());
    if (!*accepted) return;
    resting_told_ = false;
    on_accept_(std::move(**accepted));
  }
}

void Listener::rest(const Error& error) {
  watcher_->stop();
  rest_timer_.start(kRest);
  // Once until a connection is accepted again: this comes ten times a second.
  if (std::exchange(resting_told_, true)) return;
  records_.write(Diagnostic{
      LogLevel::error,
      "accept_paused",
      fmt::format("Accepting connections on {} is paused: {}.", address_.text(), describe(error)),
      {{"listen", address_.text()}}});
}

}  // namespace warder::proxy
