#include "load.h"

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <thread>
#include <utility>

#include "net/socket.h"

namespace warder::bench {
namespace {

constexpr std::size_t kMaxAnswerHead = 65536;
constexpr int kStallMs = 10'000;
constexpr std::chrono::minutes kMost{1};

tl::unexpected<Error> wrong(std::string what) { return fail(Errc::bad_request, std::move(what)); }

std::string lower(std::string_view text) {
  std::string copy(text);
  for (char& c : copy) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return copy;
}

Result<net::UniqueFd> start(const Server& server) {
  if (const auto* endpoint = std::get_if<net::Endpoint>(&server))
    return net::start_connect(*endpoint);
  return net::start_connect_unix(std::get<std::string>(server));
}

}  // namespace

Load::Load(Server server, Exchange exchange)
    : server_(std::move(server)),
      exchange_(std::move(exchange)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

Result<Load> Load::connect(Server server, Exchange exchange, std::size_t connections) {
  // Otherwise each pause is up to 50 us longer (PR_SET_TIMERSLACK in prctl(2)).
  ::prctl(PR_SET_TIMERSLACK, 1);
  Load load(std::move(server), std::move(exchange));
  load.connections_.resize(connections);
  for (std::size_t i = 0; i < connections; ++i)
    if (auto opened = load.open(i); !opened) return fail(std::move(opened.error()));
  return load;
}

Result<void> Load::open(std::size_t index) {
  auto fd = start(server_);
  if (!fd) return fail(std::move(fd.error()));
  if (std::holds_alternative<net::Endpoint>(server_)) net::set_nodelay(fd->get());
  Connection& connection = connections_[index];
  connection = Connection{};
  connection.fd = std::move(*fd);
  connection.began = Clock::now();
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = index;
  // Writable as soon as it is connected: then the first request goes out.
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.fd.get(), &event) != 0)
    return fail(from_errno(errno, "epoll_ctl"));
  return {};
}

Result<Tally> Load::run(std::chrono::nanoseconds time, std::uint64_t at_least) {
  Tally tally;
  std::array<epoll_event, 256> events{};
  const auto begin = Clock::now();
  auto now = begin;
  for (; now - begin < time || tally.requests < at_least; now = Clock::now()) {
    if (now - begin > kMost) return fail(Errc::timed_out, "too few answers within a minute");
    const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(), kStallMs);
    if (ready < 0 && errno != EINTR) return fail(from_errno(errno, "epoll_wait"));
    if (ready == 0) return fail(Errc::timed_out, "no answer for 10 s");
    for (int i = 0; i < ready; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      auto done = go_on(connections_[event.data.u64], event.events, tally);
      if (!done) return fail(std::move(done.error()));
    }
  }
  tally.time = now - begin;
  return tally;
}

Result<void> Load::go_on(Connection& connection, unsigned events, Tally& tally) {
  if ((events & EPOLLERR) != 0) {
    const int code = net::so_error(connection.fd.get());
    // A server that closed while the request was on its way resets.
    if (code == EPIPE || code == ECONNRESET) return reconnect(connection, tally);
    if (code != 0) return fail(from_errno(code, "connection"));
  }
  if (auto sent = send(connection); !sent) return sent;
  if ((events & (EPOLLIN | EPOLLRDHUP)) == 0) return {};
  for (;;) {
    const auto got = net::read_some(connection.fd.get(), buffer_);
    if (!got) return fail(got.error());
    if (got->would_block) return {};
    if (got->end) return reconnect(connection, tally);
    if (auto taken = take(connection, {buffer_.data(), got->bytes}, tally); !taken) return taken;
    // A short read has emptied the socket; what comes later is a new edge (epoll(7)).
    if (got->bytes < buffer_.size() && (events & EPOLLRDHUP) == 0) return {};
  }
}

// Between two answers a server may close, RFC 9112 section 9.5.
Result<void> Load::reconnect(Connection& connection, Tally& tally) {
  if (connection.in_body || !connection.head.empty())
    return fail(Errc::closed_by_peer, "the connection ended within an answer");
  ++tally.reconnects;
  if (tally.reconnects > 100 && tally.reconnects > tally.requests)
    return fail(Errc::closed_by_peer, "connections end before an answer");
  return open(static_cast<std::size_t>(&connection - connections_.data()));
}

Result<void> Load::send(Connection& connection) const {
  const std::string& request = exchange_.request;
  while (connection.sent < request.size()) {
    const auto sent =
        net::write_some(connection.fd.get(), std::span(request).subspan(connection.sent));
    if (!sent) {
      // Refused or not up yet: epoll tells.
      if (sent.error().sys_errno == ENOTCONN) return {};
      return fail(sent.error());
    }
    if (sent->would_block) return {};
    connection.sent += sent->bytes;
  }
  return {};
}

Result<void> Load::take(Connection& connection, std::string_view bytes, Tally& tally) {
  while (!bytes.empty()) {
    if (connection.sent < exchange_.request.size() && !connection.in_body &&
        connection.head.empty() && connection.sent == 0)
      return wrong("bytes that nobody asked for");
    if (!connection.in_body) {
      if (auto taken = take_head(connection, bytes); !taken) return taken;
      if (!connection.in_body) continue;
    }
    const std::size_t part = std::min(bytes.size(), connection.body_left);
    if (exchange_.body) connection.body.append(bytes.substr(0, part));
    bytes.remove_prefix(part);
    connection.body_left -= part;
    if (connection.body_left > 0) continue;
    if (!bytes.empty()) return wrong("bytes after the answer's body");
    if (auto done = finish(connection, tally); !done) return done;
  }
  return {};
}

Result<void> Load::take_head(Connection& connection, std::string_view& bytes) {
  const std::size_t before = connection.head.size();
  std::string_view head = bytes;
  if (before > 0) head = connection.head.append(bytes);
  const std::size_t end = head.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (before == 0) connection.head = bytes;
    bytes = {};
    if (connection.head.size() > kMaxAnswerHead) return wrong("an answer's head without an end");
    return {};
  }
  head = head.substr(0, end + 4);
  if (!head.starts_with("HTTP/1.1 200 "))
    return wrong("not the answer asked for: " + std::string(head.substr(0, head.find("\r\n"))));
  constexpr std::string_view kName = "\r\ncontent-length:";
  const std::string lowered = lower(head);
  const std::size_t at = lowered.find(kName);
  if (at == std::string::npos) return wrong("an answer without Content-Length:\n" + lowered);
  const std::size_t digits = lowered.find_first_not_of(' ', at + kName.size());
  std::size_t length = 0;
  std::from_chars(lowered.data() + digits, lowered.data() + lowered.size(), length);
  if (!exchange_.length) exchange_.length = length;
  if (length != *exchange_.length || length == 0)
    return wrong(fmt::format("an answer of {} bytes instead of {}", length, *exchange_.length));
  bytes.remove_prefix(end + 4 - before);
  connection.head.clear();
  connection.in_body = true;
  connection.body_left = length;
  return {};
}

Result<void> Load::finish(Connection& connection, Tally& tally) const {
  if (exchange_.body && connection.body != *exchange_.body)
    return wrong("an answer with another body: " + connection.body);
  tally.latency.add(Clock::now() - connection.began);
  ++tally.requests;
  connection.body.clear();
  connection.in_body = false;
  connection.sent = 0;
  if (exchange_.pause.count() > 0) std::this_thread::sleep_for(exchange_.pause);
  connection.began = Clock::now();
  return send(connection);
}

}  // namespace warder::bench
