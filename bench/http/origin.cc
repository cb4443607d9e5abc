#include "origin.h"

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "net/socket.h"

namespace warder::bench {
namespace {

constexpr std::size_t kMaxRequestHead = 65536;
constexpr std::size_t kBuffer = 262'144;

std::string answer(std::string_view body) {
  return fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
}

// Absolute or origin form; the comparison has no query.
bool has_path(std::string_view head, std::string_view path) {
  const std::size_t begin = head.find(' ');
  const std::size_t end = head.find(' ', begin + 1);
  return end != std::string_view::npos && head.substr(begin, end - begin).ends_with(path);
}

bool same_letters(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

// nullopt where the head says nothing of a length; then there is no body.
std::optional<std::size_t> content_length(std::string_view head) {
  constexpr std::string_view kName = "content-length:";
  for (std::size_t at = head.find("\r\n"); at + 2 < head.size(); at = head.find("\r\n", at)) {
    at += 2;
    if (!same_letters(head.substr(at, kName.size()), kName)) continue;
    std::size_t digits = at + kName.size();
    while (digits < head.size() && head[digits] == ' ') ++digits;
    std::size_t length = 0;
    std::from_chars(head.data() + digits, head.data() + head.size(), length);
    return length;
  }
  return std::nullopt;
}

// One connection. Edge-triggered: each call goes on until the socket has no more.
class Session {
 public:
  explicit Session(net::UniqueFd fd) : fd_(std::move(fd)) {}

  // False: it is to be closed.
  [[nodiscard]] bool go_on(std::span<char> buffer);

 private:
  [[nodiscard]] bool take(std::string_view bytes);
  [[nodiscard]] bool take_head(std::string_view& bytes);
  void take_body(std::string_view& bytes);
  [[nodiscard]] bool flush();

  net::UniqueFd fd_;
  std::string head_;  // a part of one
  bool in_body_ = false;
  std::size_t body_left_ = 0;
  std::size_t body_length_ = 0;
  std::string own_answer_;  // what `unsent_` may point into
  std::string_view unsent_;
};

bool Session::go_on(std::span<char> buffer) {
  for (;;) {
    if (!flush()) return false;
    if (!unsent_.empty()) return true;
    const auto got = net::read_some(fd_.get(), buffer);
    if (!got || got->end) return false;
    if (got->would_block) return true;
    if (!take({buffer.data(), got->bytes}) || !flush()) return false;
    // A short read has emptied the socket; what comes later is a new edge (epoll(7)).
    if (got->bytes < buffer.size()) return true;
  }
}

bool Session::take(std::string_view bytes) {
  while (!bytes.empty()) {
    if (in_body_)
      take_body(bytes);
    else if (!take_head(bytes))
      return false;
  }
  return true;
}

bool Session::take_head(std::string_view& bytes) {
  static const std::string small = answer(kSmallBody);
  static const std::string large = answer(std::string(kLargeBytes, 'x'));
  const std::size_t before = head_.size();
  std::string_view head = bytes;
  if (before > 0) head = head_.append(bytes);
  const std::size_t end = head.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (before == 0) head_ = bytes;
    bytes = {};
    return head_.size() <= kMaxRequestHead;
  }
  if (!unsent_.empty()) return false;  // pipelining is not for here
  if (head.starts_with("GET ")) {
    unsent_ = has_path(head, "/1m") ? large : small;
    if (!has_path(head, "/1m") && !has_path(head, "/12")) return false;
  } else {
    const auto length = content_length(head.substr(0, end + 4));
    if (!length) return false;
    in_body_ = true;
    body_length_ = body_left_ = *length;
  }
  bytes.remove_prefix(end + 4 - before);
  head_.clear();
  return true;
}

void Session::take_body(std::string_view& bytes) {
  const std::size_t part = std::min(bytes.size(), body_left_);
  bytes.remove_prefix(part);
  body_left_ -= part;
  if (body_left_ > 0) return;
  in_body_ = false;
  own_answer_ = answer(fmt::format("{:012}", body_length_));
  unsent_ = own_answer_;
}

bool Session::flush() {
  while (!unsent_.empty()) {
    const auto sent = net::write_some(fd_.get(), unsent_);
    if (!sent) return false;
    if (sent->would_block) return true;
    unsent_.remove_prefix(sent->bytes);
  }
  return true;
}

class Origin {
 public:
  Origin() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {}

  [[nodiscard]] bool listen(std::uint16_t port);
  void run();

 private:
  [[nodiscard]] bool watch(int fd, unsigned events) const;
  void accept_from(int listener);
  void serve(int fd);

  net::UniqueFd epoll_;
  std::vector<net::UniqueFd> listeners_;
  std::unordered_map<int, Session> sessions_;
  std::vector<char> buffer_ = std::vector<char>(kBuffer);
};

bool Origin::watch(int fd, unsigned events) const {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0;
}

bool Origin::listen(std::uint16_t port) {
  const net::Endpoint at{net::IpAddress::v4({127, 0, 0, 1}), port};
  auto listener = net::listen_tcp(at, 1024, net::PortSharing::exclusive);
  if (!listener || !watch(listener->get(), EPOLLIN)) return false;
  listeners_.push_back(std::move(*listener));
  return true;
}

void Origin::accept_from(int listener) {
  for (;;) {
    auto accepted = net::accept_tcp(listener);
    if (!accepted || !*accepted) return;
    const int fd = (*accepted)->fd.get();
    net::set_nodelay(fd);
    sessions_.insert_or_assign(fd, Session(std::move((*accepted)->fd)));
    if (!watch(fd, EPOLLIN | EPOLLOUT | EPOLLET)) sessions_.erase(fd);
  }
}

void Origin::serve(int fd) {
  const auto session = sessions_.find(fd);
  if (session != sessions_.end() && !session->second.go_on(buffer_)) sessions_.erase(session);
}

void Origin::run() {
  std::array<epoll_event, 256> events{};
  for (;;) {
    const int ready = ::epoll_wait(epoll_.get(), events.data(), events.size(), -1);
    if (ready < 0 && errno != EINTR) return;
    for (int i = 0; i < ready; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      const bool is_listener =
          std::any_of(listeners_.begin(), listeners_.end(),
                      [fd](const net::UniqueFd& listener) { return listener.get() == fd; });
      if (is_listener)
        accept_from(fd);
      else
        serve(fd);
    }
  }
}

}  // namespace

int serve_as_origin(const std::vector<std::uint16_t>& ports) {
  Origin origin;
  for (const std::uint16_t port : ports) {
    if (origin.listen(port)) continue;
    fmt::print(stderr, "bench_http: the origin can't listen on port {}\n", port);
    return EXIT_FAILURE;
  }
  origin.run();
  return EXIT_FAILURE;
}

}  // namespace warder::bench
