#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "net/address.h"
#include "net/loop.h"
#include "net/timer.h"
#include "proxy/upstream.h"

namespace warder::proxy {

// Connections to origins that wait for the next request of the same caller. One belongs to one
// loop.
class UpstreamPool final : Upstream::User {
 public:
  struct Options {
    std::chrono::milliseconds idle{30000};  // how long one may wait
    std::size_t most = 256;                 // of all; the one that waits longest makes room
  };

  // `loop` outlives the pool.
  UpstreamPool(net::Loop& loop, Options options);
  UpstreamPool(const UpstreamPool&) = delete;
  UpstreamPool& operator=(const UpstreamPool&) = delete;
  ~UpstreamPool() = default;

  // `key` stands for who may use the connection: the caller's identity and the policy's answer,
  // whole. Only what was put under the same key is given out. nullptr: none. What is given is quiet
  // at this moment.
  [[nodiscard]] std::unique_ptr<Upstream> take(const std::string& key,
                                               const std::vector<net::IpAddress>& addresses,
                                               std::uint16_t port);
  // Nothing of an answer may be outstanding.
  void put(const std::string& key, std::unique_ptr<Upstream> upstream);
  [[nodiscard]] std::size_t size() const { return waiting_.size(); }
  void clear();

 private:
  struct Waiting {
    std::string place;  // the key and the endpoint
    std::uint64_t since_ms;
    std::unique_ptr<Upstream> upstream;
  };
  using Position = std::list<Waiting>::iterator;

  void on_upstream_ready(Upstream& upstream, net::Readiness readiness) override;
  [[nodiscard]] std::unique_ptr<Upstream> remove(Position position);
  void expire();

  net::Loop& loop_;
  const Options options_;
  std::list<Waiting> waiting_;  // the longest first
  std::unordered_multimap<std::string, Position> by_place_;
  net::Timer timer_;
};

}  // namespace warder::proxy
