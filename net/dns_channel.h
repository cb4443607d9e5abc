#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/loop.h"
#include "net/result.h"

namespace warder::net {

struct DnsAnswer {
  std::vector<IpAddress> addresses;  // without repeats, never empty
  // Of the record that expires first, aliases on the way included; 0 for a name of /etc/hosts.
  std::chrono::seconds ttl{0};
};

struct DnsOptions {
  std::chrono::milliseconds timeout{5000};  // of all tries together
  std::string server;                       // "address:port"; empty: those of resolv.conf(5)
};

// c-ares: A and AAAA of one name, /etc/hosts first, no search list. One belongs to one loop.
class DnsChannel {
 public:
  using Callback = std::function<void(Result<DnsAnswer>)>;

  virtual ~DnsChannel() = default;
  // What is asked can't be taken back (c-ares 1.18). The callback runs once, on c-ares' stack and
  // maybe before ask() has returned: it may ask again, and must not destroy the channel. It never
  // runs when the channel is destroyed first. Errors: name_not_found, name_failed, timed_out.
  virtual void ask(const std::string& name, Callback callback) = 0;
};

// Errors: bad_config for a server that is no address with a port, system.
[[nodiscard]] Result<std::unique_ptr<DnsChannel>> make_dns_channel(Loop& loop, DnsOptions options);

}  // namespace warder::net
