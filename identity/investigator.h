#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "identity/effort.h"
#include "identity/holder_finder.h"
#include "identity/identity.h"
#include "identity/process_facts.h"
#include "identity/relays.h"
#include "identity/resolver.h"
#include "identity/socket_finder.h"
#include "identity/trace.h"

namespace warder::identity {

// What a look at once is for.
struct Target {
  Connection connection;
  // What it comes to is compared with what a former look came to, which was verified: each thing is
  // read once, as the former look is the other time.
  bool confirms = false;
};

// Looks for the owners of many connections in one go, reading what it can for all of them at once.
// Called by one thread at a time, with everything it did before seen by that thread.
class Investigator {
 public:
  virtual ~Investigator() = default;
  // One identity for each connection, in order. Blocks; always called on one thread.
  [[nodiscard]] virtual std::vector<Identity> look(std::span<const Connection> connections) = 0;
  // For each connection what look() would answer, where a bounded number of questions to the
  // kernel, none of which waits for anybody, is enough for it: some 10 us. nullopt where more is
  // needed, and where there is no owner to tell of. Any thread.
  [[nodiscard]] virtual std::vector<std::optional<Identity>> look_at_once(
      std::span<const Target> targets);
};

// What stands in the way of looking into other processes, in a few words; empty when nothing does.
class Rights {
 public:
  virtual ~Rights() = default;
  [[nodiscard]] virtual std::string missing() = 0;
};

// Socket, then its holders, then what they are; then all of it again, because each may change while
// the next is read. What changed is looked at once more from the beginning, and then given up. A
// confirmation at once is itself the second time.
class ProcInvestigator final : public Investigator {
 public:
  // All outlive this. `effort` is the others' too; without one nothing is looked at at once.
  ProcInvestigator(SocketFinder& sockets, HolderFinder& holders, ProcessFacts& facts,
                   Rights& rights, Trace trace = {}, Effort* effort = nullptr)
      : sockets_(sockets),
        holders_(holders),
        facts_(facts),
        rights_(rights),
        relays_(sockets, holders, facts),
        trace_(std::move(trace)),
        effort_(effort) {}

  [[nodiscard]] std::vector<Identity> look(std::span<const Connection> connections) override;
  // Tells no steps. Where one connection needs more, each is looked at by itself.
  [[nodiscard]] std::vector<std::optional<Identity>> look_at_once(
      std::span<const Target> targets) override;

 private:
  struct Case;
  class SharedFacts;
  // False, and nothing is known, where any of them needs more.
  bool look_together(std::span<const Target> targets,
                     std::span<std::optional<Identity>> identities);
  void attempt(std::span<Case* const> cases);
  void search(std::span<Case* const> cases, bool again);
  void examine(Case& one, const HolderScan& scan);
  void read_facts(Case& one, SharedFacts& shared);
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
  Effort* effort_;
};

// The grade of `processes`, which hold `sockets` different sockets. Neither is empty or 0.
[[nodiscard]] Grade grade_of(const std::vector<Process>& processes, std::size_t sockets);

// A process as details name it.
[[nodiscard]] std::string pid_and_path(const Process& process);

// What is different in `now` from what was found before; nullopt when it is the same socket, held
// by the same processes running the same images.
[[nodiscard]] std::optional<Change> difference(const Identity& before, const Identity& now);

// Adds to `now` the programs that were behind the same relay before: what they sent may still be in
// it, and those that come and go are told of once. As many as there is room for.
void keep_relayed(const Identity& before, Identity& now);

}  // namespace warder::identity
