#include "proxy/connection_limits.h"

#include <sys/resource.h>

#include <algorithm>
#include <utility>

namespace warder::proxy {

namespace {

template <class Counts, class Key>
void decrement(Counts& counts, const Key& key) {
  const auto found = counts.find(key);
  if (found != counts.end() && --found->second == 0) counts.erase(found);
}

constexpr std::size_t kDescriptorsPerTunnel = 6;

}  // namespace

ConnectionLimits::Slot::Slot(ConnectionLimits& limits, std::optional<net::IpAddress> client,
                             std::string identity)
    : limits_(&limits), client_(client), identity_(std::move(identity)) {}

ConnectionLimits::Slot::Slot(Slot&& other) noexcept
    : limits_(std::exchange(other.limits_, nullptr)),
      client_(other.client_),
      identity_(std::move(other.identity_)) {}

ConnectionLimits::Slot& ConnectionLimits::Slot::operator=(Slot&& other) noexcept {
  // What this held goes to `other`, and back with it.
  std::swap(limits_, other.limits_);
  std::swap(client_, other.client_);
  std::swap(identity_, other.identity_);
  return *this;
}

ConnectionLimits::Slot::~Slot() {
  if (limits_ != nullptr) limits_->give_back(*this);
}

ConnectionLimits::Taken ConnectionLimits::take_connection(const net::IpAddress& client) {
  const std::lock_guard lock(mutex_);
  if (total_ >= maxima_.total) return {std::nullopt, Full::total};
  const auto found = by_client_.find(client);
  if (found != by_client_.end() && found->second >= maxima_.per_client) {
    return {std::nullopt, Full::client};
  }
  ++total_;
  ++by_client_[client];
  return {Slot(*this, client, {}), Full::total};
}

std::optional<ConnectionLimits::Slot> ConnectionLimits::take_identity(const std::string& identity) {
  const std::lock_guard lock(mutex_);
  const auto found = by_identity_.find(identity);
  if (found != by_identity_.end() && found->second >= maxima_.per_identity) return std::nullopt;
  ++by_identity_[identity];
  return Slot(*this, std::nullopt, identity);
}

std::size_t ConnectionLimits::connections() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

void ConnectionLimits::give_back(const Slot& slot) {
  const std::lock_guard lock(mutex_);
  if (slot.client_) {
    --total_;
    decrement(by_client_, *slot.client_);
  } else {
    decrement(by_identity_, slot.identity_);
  }
}

std::size_t connections_for_descriptors(std::size_t configured, std::size_t reserved) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return configured;
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0 && getrlimit(RLIMIT_NOFILE, &limit) != 0) {
      return configured;
    }
  }
  const std::size_t descriptors = limit.rlim_cur;
  const std::size_t fit =
      descriptors > reserved ? (descriptors - reserved) / kDescriptorsPerTunnel : 0;
  return std::clamp<std::size_t>(fit, 1, std::max<std::size_t>(configured, 1));
}

}  // namespace warder::proxy
