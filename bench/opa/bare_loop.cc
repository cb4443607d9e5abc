#include <fmt/format.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "loops.h"
#include "net/socket.h"
#include "net/unique_fd.h"

namespace warder::bench {
namespace {

struct Peer {
  net::UniqueFd fd;
  Clock::time_point begun;
  std::string in;
};

// Whether `in` holds a whole answer: the loop knows that OPA sends a length.
bool complete(std::string_view in) {
  constexpr std::string_view kLength = "Content-Length: ";
  const auto end = in.find("\r\n\r\n");
  const auto at = in.find(kLength);
  if (end == std::string_view::npos || at == std::string_view::npos) return false;
  const std::string digits(in.substr(at + kLength.size(), 10));
  return in.size() >= end + 4 + std::strtoull(digits.c_str(), nullptr, 10);
}

bool send(Peer& peer, std::string_view request) {
  peer.in.clear();
  peer.begun = Clock::now();
  return ::write(peer.fd.get(), request.data(), request.size()) ==
         static_cast<ssize_t>(request.size());
}

bool connect(Peer& peer, const std::string& socket) {
  auto fd = net::start_connect_unix(socket);
  if (!fd) return false;
  peer.fd = std::move(*fd);
  return true;
}

// Whether the answer is there; `bad` when it never will be.
bool receive(Peer& peer, bool& bad) {
  std::array<char, 16384> buffer;
  const ssize_t count = ::read(peer.fd.get(), buffer.data(), buffer.size());
  bad = count <= 0;
  if (bad) return false;
  peer.in.append(buffer.data(), static_cast<std::size_t>(count));
  return complete(peer.in);
}

std::string request_for(const opa::Query& query) {
  const std::string body = opa::to_json(query);
  return fmt::format(
      "POST /v1/data/egress/decision HTTP/1.1\r\nHost: localhost\r\n"
      "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
}

}  // namespace

Latencies run_bare(const Work& work) {
  const std::string request = request_for(work.query);
  std::vector<Peer> peers(work.at_once);
  const net::UniqueFd ready(::epoll_create1(EPOLL_CLOEXEC));
  for (std::size_t i = 0; i < peers.size(); ++i) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    if (!connect(peers[i], work.socket) || !send(peers[i], request)) return {};
    if (::epoll_ctl(ready.get(), EPOLL_CTL_ADD, peers[i].fd.get(), &event) != 0) return {};
  }
  Latencies took;
  took.reserve(work.exchanges);
  std::array<epoll_event, 64> events{};
  while (took.size() < work.exchanges) {
    const int count = ::epoll_wait(ready.get(), events.data(), events.size(), 10000);
    if (count <= 0) return {};
    for (int i = 0; i < count; ++i) {
      Peer& peer = peers[events.at(static_cast<std::size_t>(i)).data.u64];
      bool bad = false;
      if (!receive(peer, bad)) {
        if (bad) return {};
        continue;
      }
      took.push_back(Clock::now() - peer.begun);
      if (work.pause.count() > 0) std::this_thread::sleep_for(work.pause);
      if (!send(peer, request)) return {};
    }
  }
  return took;
}

}  // namespace warder::bench
