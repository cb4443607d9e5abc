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

// One lookup that is under way. Destroying it cancels: the callback never runs afterwards.
class NameLookup {
 public:
  virtual ~NameLookup() = default;
};

// Turns names into addresses. One belongs to one loop.
class NameResolver {
 public:
  // Addresses without repeats in the order the resolver prefers them, never empty.
  using Callback = std::function<void(Result<std::vector<IpAddress>>)>;

  virtual ~NameResolver() = default;
  // `name` is copied; it is in canonical form (lower case, no trailing dot), or it is another name.
  // The callback runs once, never before start() has returned, and may destroy the lookup. Errors:
  // name_not_found, name_failed, timed_out, overloaded (too many names in flight and waiting).
  [[nodiscard]] virtual std::unique_ptr<NameLookup> start(const std::string& name,
                                                          Callback callback) = 0;
};

// Where the answer to a lookup comes from; addresses in text come from nowhere.
enum class LookupSource {
  asked,    // a query of its own, of DNS or of /etc/hosts
  joined,   // a query for the same name that was under way
  cached,   // an answer from before
  refused,  // nowhere: overloaded
};

struct NameResolverOptions {
  std::chrono::milliseconds timeout{5000};  // of one lookup as a whole
  std::size_t max_in_flight = 256;          // names asked for at once; the next ones wait
  // "address:port" of the only server to ask; empty: those of resolv_conf, which is read again at
  // most once a second. Answers of servers that aren't in it any more are not kept.
  std::string server;
  std::string resolv_conf = "/etc/resolv.conf";
  std::uint16_t port = 53;  // of the servers of resolv_conf
  // Of a change of resolv_conf, or what is wrong with it (dns_channel.h). Runs when the resolver is
  // made and in start(), and must not destroy the resolver.
  OnNameServers on_servers = [](const NameServers&) {};
  std::size_t cache_entries = 4096;
  std::chrono::milliseconds max_ttl{300000};                          // 0: nothing is cached
  std::function<void(LookupSource)> on_lookup = [](LookupSource) {};  // for counting
  Clock now = boot_time;  // of the cache, and of looking at resolv_conf
};

// Asks once for a name that several want, by DnsChannel, and keeps answers no longer than their
// TTL. That there is no such name is kept for two seconds at most, since c-ares doesn't tell the
// SOA's minimum (RFC 2308); any other failure is not kept. Destroying it cancels what is in flight.
[[nodiscard]] Result<std::unique_ptr<NameResolver>> make_name_resolver(Loop& loop,
                                                                       NameResolverOptions options);

}  // namespace warder::net
