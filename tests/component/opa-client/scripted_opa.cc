#include "scripted_opa.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstring>
#include <utility>

#include "net/socket.h"
#include "tests/support/sockets.h"

namespace warder::testing {
namespace {

net::UniqueFd listen_unix(const std::string& path) {
  net::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(fd.get(), 128) == 0);
  return fd;
}

net::UniqueFd listen_at(opa::Address& address) {
  if (address.kind == opa::Address::Kind::unix_socket) return listen_unix(address.socket_path);
  auto fd = net::listen_tcp(address.endpoint, 128, net::PortSharing::exclusive);
  REQUIRE(fd);
  address.endpoint = net::local_endpoint(fd->get()).value();
  address.host_header = address.endpoint.text();
  return std::move(*fd);
}

}  // namespace

Peer::Peer(ScriptedOpa& server, net::UniqueFd fd, int number)
    : server_(server),
      number_(number),
      fd_(std::move(fd)),
      watcher_(net::FdWatcher::create(server.loop_, fd_.get(), *this).value()),
      slow_(server.loop_, [this] {
        send(out_slowly_.substr(0, 1));
        out_slowly_.erase(0, 1);
        if (!out_slowly_.empty()) {
          slow_.start(std::chrono::milliseconds(0));
        } else if (close_when_sent_) {
          go();
        }
      }) {
  watcher_->watch({.readable = true});
}

void Peer::send(std::string_view bytes) {
  out_ += bytes;
  flush();
}

void Peer::send_slowly(std::string bytes) {
  out_slowly_ = std::move(bytes);
  slow_.start(std::chrono::milliseconds(0));
}

void Peer::flush() {
  out_.erase(0, write_available(fd_.get(), out_));
  watcher_->watch({.readable = true, .writable = !out_.empty()});
  if (close_when_sent_ && out_.empty() && out_slowly_.empty()) go();
}

void Peer::close() {
  close_when_sent_ = true;
  if (out_.empty() && out_slowly_.empty()) go();
}

void Peer::reset() {
  net::reset_on_close(fd_.get());
  go();
}

void Peer::go() {
  watcher_->stop();
  slow_.stop();
  server_.drop(*this);
}

bool Peer::take_request(std::string& request) {
  const auto head_end = in_.find("\r\n\r\n");
  if (head_end == std::string::npos) return false;
  constexpr std::string_view kLength = "Content-Length: ";
  const auto at = in_.find(kLength);
  const std::size_t body = at < head_end ? std::stoul(in_.substr(at + kLength.size())) : 0;
  const std::size_t total = head_end + 4 + body;
  if (in_.size() < total) return false;
  request = in_.substr(0, total);
  in_.erase(0, total);
  return true;
}

void Peer::on_ready(net::FdWatcher& /*watcher*/, net::Readiness readiness) {
  if (readiness.writable && !out_.empty()) flush();
  if (!readiness.readable) return;
  const bool open = read_available(fd_.get(), in_);
  std::string request;
  if (take_request(request)) {
    server_.requests.push_back(std::move(request));
    return server_.on_request(*this);
  }
  if (open) return;
  ++server_.ended;
  go();
}

ScriptedOpa::ScriptedOpa(net::Loop& loop, const opa::Address& at)
    : loop_(loop),
      address_(at),
      listener_(listen_at(address_)),
      watcher_(net::FdWatcher::create(loop, listener_.get(), *this).value()) {
  watcher_->watch({.readable = true});
}

ScriptedOpa::~ScriptedOpa() {
  if (address_.kind == opa::Address::Kind::unix_socket) ::unlink(address_.socket_path.c_str());
}

void ScriptedOpa::on_ready(net::FdWatcher& /*watcher*/, net::Readiness /*readiness*/) {
  net::UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!fd) return;
  peers_.push_back(std::make_unique<Peer>(*this, std::move(fd), ++accepted));
  on_accept(*peers_.back());
}

std::vector<Peer*> ScriptedOpa::peers() {
  std::vector<Peer*> open;
  for (const auto& peer : peers_) open.push_back(peer.get());
  return open;
}

void ScriptedOpa::drop(Peer& peer) {
  const auto place = std::find_if(peers_.begin(), peers_.end(),
                                  [&](const auto& owned) { return owned.get() == &peer; });
  loop_.retire(std::move(*place));
  peers_.erase(place);
}

std::string response(std::string_view body, std::string_view status, std::string_view headers) {
  return fmt::format(
      "HTTP/1.1 {}\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{}", status,
      headers, body.size(), body);
}

}  // namespace warder::testing
