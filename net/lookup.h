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
  // `name` is copied. The callback runs once, never before start() has returned, and may destroy
  // the lookup. Errors: name_not_found, name_failed, timed_out, overloaded (too many in flight).
  [[nodiscard]] virtual std::unique_ptr<NameLookup> start(const std::string& name,
                                                          Callback callback) = 0;
};

struct NameResolverOptions {
  std::chrono::milliseconds timeout{5000};  // of one lookup as a whole
  std::size_t max_in_flight = 256;
  // "address:port" of the only server to ask; empty: those of resolv.conf(5).
  std::string server;
};

// c-ares, A and AAAA, /etc/hosts first, no search list. Destroying it cancels what is in flight.
[[nodiscard]] Result<std::unique_ptr<NameResolver>> make_name_resolver(Loop& loop,
                                                                       NameResolverOptions options);

}  // namespace warder::net
