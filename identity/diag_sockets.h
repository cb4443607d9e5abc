#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "identity/network_namespace.h"
#include "identity/scope_walk.h"
#include "identity/socket_tables.h"

namespace warder::identity {

// Asks each namespace for exactly the wanted sockets; the procfs tables where it gives no answer.
class DiagReader final : public ScopeReader {
 public:
  // Both outlive this. At once no tables are read.
  explicit DiagReader(NamespaceViews& views, Effort* effort = nullptr)
      : views_(views), effort_(effort) {}

  void begin(std::span<const Question> questions) override;
  void ask(const Place& place, std::size_t i, ScopeFinding& finding) override;
  void ask_translated(const Place& place, std::size_t i, ScopeFinding& finding) override;
  void directories_changed() override { tables_.directories_changed(); }
  void end(std::span<const Place> places) override { views_.keep_only(places); }

 private:
  void ask_tables(const Place& place, std::size_t i, std::string_view reason,
                  ScopeFinding& finding);

  NamespaceViews& views_;
  Effort* effort_;
  std::span<const Question> questions_;
  TableReader tables_;
};

// Every scope by NETLINK_SOCK_DIAG in its own network namespace, by the procfs tables where that
// can't be done.
class DiagSockets final : public SocketFinder {
 public:
  // As SocketTables; `views` and `effort` outlive this too.
  DiagSockets(int proc_root, const std::vector<Sandbox>& sandboxes,
              const std::vector<net::Endpoint>& aliases, LocalAddresses& local,
              NamespaceViews& views, NamespaceScan* scan = nullptr, Effort* effort = nullptr)
      : walk_(proc_root, sandboxes, aliases, local, scan, effort), reader_(views, effort) {}

  [[nodiscard]] std::vector<Sighting> find(std::span<const Connection> connections) override {
    return walk_.find(connections, reader_);
  }

 private:
  ScopeWalk walk_;
  DiagReader reader_;
};

}  // namespace warder::identity
