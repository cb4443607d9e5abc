#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "identity/identity.h"
#include "net/address.h"
#include "net/loop.h"

namespace warder::identity {

// One accepted connection, as the proxy sees it.
struct Connection {
  net::Endpoint client;  // its remote end
  net::Endpoint proxy;   // its local end
  // SO_ORIGINAL_DST, where it was redirected in the proxy's namespace.
  std::optional<net::Endpoint> original_destination;
  // For other connections than those to the proxy: every scope is asked, also for an address of the
  // proxy's own namespace. What is found may be of another connection with the same ends.
  bool in_any_scope = false;
};

// What is different from a former look.
struct Change {
  std::string what;  // one sentence
  // Nobody has the socket any more: no other program came into its place.
  bool closed = false;
  // The same processes have it; only what leads to them, as a relay, is more than before, or they
  // are looked for at other paths of the policy's.
  bool behind = false;
  // There was no second look (Reason::lookup_failed): it may all be as before.
  bool not_looked = false;
};

// A lookup that is under way. Destroying it cancels: the callback never runs afterwards.
class Lookup {
 public:
  virtual ~Lookup() = default;
};

// Finds out who owns a connection. One is shared by all workers; every method may be called on any
// thread. Implementations outlive the lookups they started; their destructor waits for work that
// runs and drops what waits.
class Resolver {
 public:
  using Callback = std::function<void(Identity)>;
  // nullopt: the same socket, held by the same processes running the same images.
  using ConfirmCallback = std::function<void(std::optional<Change> change)>;

  virtual ~Resolver() = default;

  // Called on the thread of `loop`, as confirm() is. The callback runs once, on that thread, never
  // before start() has returned, and may destroy the lookup. Failure is a result: grade unresolved
  // with its reason. `loop` outlives the lookup. The lookup must be destroyed on the thread of
  // `loop`.
  [[nodiscard]] virtual std::unique_ptr<Lookup> start(const Connection& connection, net::Loop& loop,
                                                      Callback callback) = 0;

  // Looks again, with nothing remembered from before this call, and compares with `before`, which
  // stays as it is until the callback has run or the lookup is destroyed. To be called after the
  // decision and before anything opens.
  [[nodiscard]] virtual std::unique_ptr<Lookup> confirm(const Connection& connection,
                                                        const Identity& before, net::Loop& loop,
                                                        ConfirmCallback callback) = 0;
};

}  // namespace warder::identity
