#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/address.h"
#include "net/clock.h"
#include "net/loop.h"
#include "net/resolv_conf.h"
#include "net/result.h"

namespace warder::net {

struct DnsAnswer {
  std::vector<IpAddress> addresses;  // without repeats, never empty
  // Of the record that expires first, aliases on the way included; 0 for a name of /etc/hosts.
  std::chrono::seconds ttl{0};
};

struct DnsOptions {
  std::chrono::milliseconds timeout{5000};  // of all tries together
  std::string server;                       // "address:port"; empty: those of `resolv_conf`
  std::string resolv_conf = "/etc/resolv.conf";
  std::uint16_t port = 53;  // of the servers of resolv_conf
  // Runs in make_dns_channel() or follow(), and must not destroy the channel. A problem of
  // resolv_conf is told once, and so is its end.
  OnNameServers on_servers = [](const NameServers&) {};
  Clock now = boot_time;
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
  // To be called before a question: reads resolv.conf again, if a second has passed since it was
  // read (c-ares 1.18 reads it once). True if other servers are asked from now on; questions under
  // way are still for those they were put to. A file that names no server, or can't be read,
  // changes nothing.
  virtual bool follow() = 0;
};

// With a `server` resolv.conf is never read. Without a resolv.conf that names one, 127.0.0.1 is
// asked, as resolv.conf(5) has it. Errors: bad_config for a server that is no address with a port;
// those of read_resolv_conf() where there is one that can't be read; system.
[[nodiscard]] Result<std::unique_ptr<DnsChannel>> make_dns_channel(Loop& loop, DnsOptions options);

}  // namespace warder::net
