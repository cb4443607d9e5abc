#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "identity/holder_finder.h"
#include "identity/identity.h"
#include "identity/process_facts.h"
#include "identity/relays.h"
#include "identity/resolver.h"
#include "identity/socket_finder.h"
#include "identity/trace.h"

namespace warder::identity {

// Looks for the owners of many connections in one go, reading what it can for all of them at once.
class Investigator {
 public:
  virtual ~Investigator() = default;
  // One identity for each connection, in order. Blocks; always called on one thread.
  [[nodiscard]] virtual std::vector<Identity> look(std::span<const Connection> connections) = 0;
};

// What stands in the way of looking into other processes, in a few words; empty when nothing does.
class Rights {
 public:
  virtual ~Rights() = default;
  [[nodiscard]] virtual std::string missing() = 0;
};

// Socket, then its holders, then what they are; then all of it again, because each may change while
// the next is read. What changed is looked at once more from the beginning, and then given up.
class ProcInvestigator final : public Investigator {
 public:
  // All outlive this.
  ProcInvestigator(SocketFinder& sockets, HolderFinder& holders, ProcessFacts& facts,
                   Rights& rights, Trace trace = {})
      : sockets_(sockets),
        holders_(holders),
        facts_(facts),
        rights_(rights),
        relays_(sockets, holders, facts),
        trace_(std::move(trace)) {}

  [[nodiscard]] std::vector<Identity> look(std::span<const Connection> connections) override;

 private:
  struct Case;
  void attempt(std::span<Case* const> cases);
  void search(std::span<Case* const> cases, bool again);
  void examine(Case& one, const HolderScan& scan);
  void read_facts(Case& one);
  void verify(std::span<Case* const> cases);
  void verify_vitals(Case& one);
  void verify_holders(std::span<Case* const> cases);
  [[nodiscard]] Identity conclude(Case& one);
  static void add_causes(const Case& one, Identity& identity);
  void add_connector(const Case& one, Identity& identity);
  void add_relays(const Case& one, Identity& identity);
  [[nodiscard]] Process connector_facts(const Connector& connector, std::span<const Scope> scopes);
  [[nodiscard]] std::string explain(const Case& one);

  SocketFinder& sockets_;
  HolderFinder& holders_;
  ProcessFacts& facts_;
  Rights& rights_;
  RelayFinder relays_;
  Trace trace_;
};

// The grade of `processes`, which hold `sockets` different sockets. Neither is empty or 0.
[[nodiscard]] Grade grade_of(const std::vector<Process>& processes, std::size_t sockets);

// What is different in `now` from what was found before; nullopt when it is the same socket, held
// by the same processes running the same images.
[[nodiscard]] std::optional<Change> difference(const Identity& before, const Identity& now);

// Adds to `now` the programs that were behind the same relay before: what they sent may still be in
// it, and those that come and go are told of once.
void keep_relayed(const Identity& before, Identity& now);

}  // namespace warder::identity
