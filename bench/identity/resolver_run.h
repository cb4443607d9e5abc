#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "identity/resolver.h"
#include "net/loop.h"
#include "sample.h"

namespace warder::bench {

// Lookups as the proxy makes them: started on the loop's thread, answered there by a callback.
class ResolverRun {
 public:
  // All outlive this.
  ResolverRun(identity::Resolver& resolver, net::Loop& loop, std::span<const Client> clients)
      : resolver_(resolver), loop_(loop), clients_(clients) {}

  // Runs the loop.
  [[nodiscard]] Sample measure(const Plan& plan);

 private:
  void begin_wave();
  void answered(const Client& client, const identity::Identity& identity);

  identity::Resolver& resolver_;
  net::Loop& loop_;
  std::span<const Client> clients_;
  std::optional<Progress> progress_;
  Sample sample_;
  Clock::time_point wave_begin_;
  std::size_t waiting_ = 0;
  std::vector<std::unique_ptr<identity::Lookup>> lookups_;
};

// The way there and back alone: a resolver that has the answer at once. All its answers are wrong.
[[nodiscard]] Sample measure_hop(net::Loop& loop, std::span<const Client> clients,
                                 const Plan& plan);

// The same with the plain method, one lookup after another.
[[nodiscard]] Sample measure_plain(std::span<const Client> clients, const Plan& plan);

}  // namespace warder::bench
