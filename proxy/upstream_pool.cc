#include "proxy/upstream_pool.h"

#include <algorithm>
#include <utility>

namespace warder::proxy {

namespace {

std::string place_of(const std::string& key, const net::Endpoint& endpoint) {
  return endpoint.text() + '\n' + key;
}

}  // namespace

UpstreamPool::UpstreamPool(net::Loop& loop, Options options)
    : loop_(loop), options_(options), timer_(loop, [this] { expire(); }) {}

std::unique_ptr<Upstream> UpstreamPool::take(const std::string& key,
                                             const std::vector<net::IpAddress>& addresses,
                                             std::uint16_t port) {
  for (const net::IpAddress& address : addresses) {
    const std::string place = place_of(key, {address, port});
    for (auto found = by_place_.find(place); found != by_place_.end();
         found = by_place_.find(place)) {
      std::unique_ptr<Upstream> upstream = remove(found->second);
      if (upstream->quiet()) return upstream;
      loop_.retire(std::move(upstream));
    }
  }
  return nullptr;
}

void UpstreamPool::put(const std::string& key, std::unique_ptr<Upstream> upstream) {
  if (options_.most == 0) return loop_.retire(std::move(upstream));
  if (waiting_.size() >= options_.most) loop_.retire(remove(waiting_.begin()));
  upstream->give_to(*this);
  upstream->watch({.readable = true});
  std::string place = place_of(key, upstream->endpoint());
  waiting_.push_back({place, loop_.now_ms(), std::move(upstream)});
  by_place_.emplace(std::move(place), std::prev(waiting_.end()));
  if (!timer_.active()) timer_.start(options_.idle);
}

void UpstreamPool::clear() {
  timer_.stop();
  while (!waiting_.empty()) loop_.retire(remove(waiting_.begin()));
}

// It ended, or says something that nobody asked for: either way it is of no use any more.
void UpstreamPool::on_upstream_ready(Upstream& upstream, net::Readiness) {
  const auto found = std::find_if(
      waiting_.begin(), waiting_.end(),
      [&upstream](const Waiting& waiting) { return waiting.upstream.get() == &upstream; });
  if (found != waiting_.end()) loop_.retire(remove(found));
}

std::unique_ptr<Upstream> UpstreamPool::remove(Position position) {
  const auto [first, last] = by_place_.equal_range(position->place);
  by_place_.erase(
      std::find_if(first, last, [&](const auto& entry) { return entry.second == position; }));
  std::unique_ptr<Upstream> upstream = std::move(position->upstream);
  waiting_.erase(position);
  return upstream;
}

// Not started anew for every connection: it looks, when it rings, which have waited long enough.
void UpstreamPool::expire() {
  const auto idle = static_cast<std::uint64_t>(options_.idle.count());
  while (!waiting_.empty() && loop_.now_ms() - waiting_.front().since_ms >= idle) {
    loop_.retire(remove(waiting_.begin()));
  }
  if (waiting_.empty()) return;
  timer_.start(std::chrono::milliseconds(idle - (loop_.now_ms() - waiting_.front().since_ms)));
}

}  // namespace warder::proxy
