#include "proxy/upstream.h"

#include <sys/socket.h>

#include <utility>

namespace warder::proxy {

Upstream::Upstream(net::UniqueFd fd, net::Endpoint endpoint)
    : fd_(std::move(fd)), endpoint_(endpoint) {}

Result<std::unique_ptr<Upstream>> Upstream::create(net::Loop& loop, Dialled dialled) {
  std::unique_ptr<Upstream> upstream(new Upstream(std::move(dialled.fd), dialled.origin));
  auto watcher = net::FdWatcher::create(loop, upstream->fd_.get(), *upstream);
  if (!watcher) return fail(std::move(watcher.error()));
  upstream->watcher_ = std::move(*watcher);
  net::set_nodelay(upstream->fd_.get());
  net::set_keepalive(upstream->fd_.get());
  return upstream;
}

Result<net::Transfer> Upstream::read(std::span<char> into) {
  return net::read_some(fd_.get(), into);
}

Result<net::Transfer> Upstream::write(std::span<const char> bytes) {
  Result<net::Transfer> sent = net::write_some(fd_.get(), bytes);
  if (sent) written_ += sent->bytes;
  return sent;
}

bool Upstream::quiet() const {
  char byte = 0;
  return ::recv(fd_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
         (errno == EAGAIN || errno == EWOULDBLOCK);
}

void Upstream::exchange_done() { written_before_ = written_; }

bool Upstream::untouched() const {
  if (written_before_ == 0) return false;
  const Result<std::uint64_t> acknowledged = net::bytes_acknowledged(fd_.get());
  return acknowledged && *acknowledged <= written_before_;
}

void Upstream::abort() {
  watcher_.reset();
  net::reset_on_close(fd_.get());
}

net::UniqueFd Upstream::release() {
  watcher_.reset();
  return std::move(fd_);
}

void Upstream::on_ready(net::FdWatcher&, net::Readiness readiness) {
  user_->on_upstream_ready(*this, readiness);
}

}  // namespace warder::proxy
