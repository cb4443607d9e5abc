#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "identity/effort.h"
#include "identity/local_address.h"
#include "identity/namespace_scan.h"
#include "identity/place.h"
#include "identity/sandbox.h"
#include "identity/sock_diag.h"
#include "identity/socket_finder.h"

namespace warder::identity {

// What the other end of a connection is asked for in every scope: the socket with one of these
// ends.
struct Question {
  std::vector<SocketEnds> ends;
  net::Endpoint client, proxy;  // as the connection reached us, unmapped
  // False where the client's address is known not to be one of our own network namespace.
  bool maybe_local = true;
  bool in_any_scope = false;  // Connection::in_any_scope
};

// Asks one network namespace. Belongs to one thread at a time.
class ScopeReader {
 public:
  virtual ~ScopeReader() = default;
  // Nothing that was read before counts any more. `questions` outlives all that is asked about it.
  virtual void begin(std::span<const Question> questions) = 0;
  // What the namespace of `place` has of question `i`; the finding's scope is set.
  virtual void ask(const Place& place, std::size_t i, ScopeFinding& finding) = 0;
  // The same for what was dialled under another address, where `finding` is `absent` so far.
  virtual void ask_translated(const Place& place, std::size_t i, ScopeFinding& finding);
  // A place's directory may have been closed, and its number be another's now.
  virtual void directories_changed();
  // These are all places that there are at present.
  virtual void end(std::span<const Place> places);
};

// Which scopes are asked about a connection, in which order, and which of them may be believed: the
// sandboxes', then our own, then discovered ones. Where one says `closed` the search ends. Where
// none has the socket, address translation is asked for. At once (Effort) no more is done than to
// ask a few scopes that are known already.
class ScopeWalk {
 public:
  // All outlive this. `proc_root` is an open directory; without `scan` nothing is discovered.
  ScopeWalk(int proc_root, const std::vector<Sandbox>& sandboxes,
            const std::vector<net::Endpoint>& aliases, LocalAddresses& local, NamespaceScan* scan,
            Effort* effort = nullptr);

  [[nodiscard]] std::vector<Sighting> find(std::span<const Connection> connections,
                                           ScopeReader& reader);

 private:
  struct Call;
  void visit(std::size_t from, Call& call);
  void visit(const Place& place, std::size_t i, Call& call);
  const Result<bool>& is_local(std::size_t i, Call& call);
  void add_configured(Call& call) const;
  void add_discovered(Call& call) const;
  void discover(Call& call);
  void ask_translated(Call& call);

  int proc_root_;
  const std::vector<Sandbox>& sandboxes_;
  const std::vector<net::Endpoint>& aliases_;
  LocalAddresses& local_;
  NamespaceScan* scan_;
  Effort* effort_;
  std::optional<std::uint64_t> own_namespace_;
};

// Sets kind and outcome from the sockets of `finding` and whether another one was closed. False,
// and nothing but the kind is set, where there is neither.
bool conclude(bool closed, ScopeFinding& finding);

}  // namespace warder::identity
