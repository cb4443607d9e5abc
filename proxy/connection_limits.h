#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "net/address.h"

namespace warder::proxy {

// Counts connections, in all and by whom, across all workers. Any thread.
class ConnectionLimits {
 public:
  struct Maxima {
    std::size_t total;
    std::size_t per_client;
    std::size_t per_identity;
  };

  // One unit of one count, given back when it is destroyed. Must not outlive the limits.
  class Slot {
   public:
    Slot(Slot&& other) noexcept;
    Slot& operator=(Slot&& other) noexcept;
    Slot(const Slot&) = delete;
    ~Slot();

   private:
    friend class ConnectionLimits;
    Slot(ConnectionLimits& limits, std::optional<net::IpAddress> client, std::string identity);
    ConnectionLimits* limits_;
    std::optional<net::IpAddress> client_;  // set: a connection; else an identity's
    std::string identity_;
  };

  explicit ConnectionLimits(Maxima maxima) : maxima_(maxima) {}

  // Which limit refused, for the reason: "total" or "client"; a slot otherwise.
  enum class Full { total, client };
  struct Taken {
    std::optional<Slot> slot;
    Full full = Full::total;
  };
  [[nodiscard]] Taken take_connection(const net::IpAddress& client);
  // nullopt when that identity has all it may have.
  [[nodiscard]] std::optional<Slot> take_identity(const std::string& identity);
  [[nodiscard]] std::size_t connections() const;
  [[nodiscard]] const Maxima& maxima() const { return maxima_; }

 private:
  void give_back(const Slot& slot);

  const Maxima maxima_;
  mutable std::mutex mutex_;  // guards what follows
  std::size_t total_ = 0;
  std::map<net::IpAddress, std::size_t> by_client_;
  std::map<std::string, std::size_t> by_identity_;
};

// Descriptors kept for listeners, OPA connections, walks of /proc, admin and the log.
inline constexpr std::size_t kReservedDescriptors = 512;

// How many connections `configured` may be with this process's descriptor limit: a tunnel needs up
// to six (two sockets and two pipes), and `reserved` stay for everything else. Raises the soft
// limit to the hard one first (setrlimit(2)). At least 1.
[[nodiscard]] std::size_t connections_for_descriptors(std::size_t configured, std::size_t reserved);

}  // namespace warder::proxy
