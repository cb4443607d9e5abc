#pragma once

#include <span>
#include <vector>

#include "identity/holder_finder.h"
#include "identity/identity.h"
#include "identity/process_facts.h"
#include "identity/socket_finder.h"

namespace warder::identity {

// Tells which local programs may speak through a holder: those at the other ends of connections
// that the holder accepted. One hop: where such a program is a relay itself, `via` is not complete.
class RelayFinder {
 public:
  // All outlive this.
  RelayFinder(SocketFinder& sockets, HolderFinder& holders, ProcessFacts& facts)
      : sockets_(sockets), holders_(holders), facts_(facts) {}

  // Sets `relays`, `via` and `via_complete` of `identity`, whose processes are known. `accepted`:
  // of all of them; `known`: that is all there are.
  void find(std::span<const OtherSocket> accepted, bool known, Identity& identity);

 private:
  void add_programs(const SocketHolders& who, std::span<const Scope> scopes, Identity& identity);
  void add_program(const Holder& holder, std::span<const Scope> scopes, Identity& identity);

  SocketFinder& sockets_;
  HolderFinder& holders_;
  ProcessFacts& facts_;
};

}  // namespace warder::identity
