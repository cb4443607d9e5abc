#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "identity/scope_walk.h"
#include "identity/socket_finder.h"
#include "net/result.h"

namespace warder::identity {

// Which sockets are wanted: for each local end the remote ends that count, IPv4-mapped addresses
// as the IPv4 addresses they are. Slots are numbered from 0.
class WantedTuples {
 public:
  // Returns the slot, the same for the same tuple.
  std::size_t add(const net::Endpoint& local, const net::Endpoint& remote);
  [[nodiscard]] std::optional<std::size_t> find(const net::Endpoint& local,
                                                const net::Endpoint& remote) const;
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Remote {
    net::Endpoint endpoint;
    std::size_t slot;
  };
  std::unordered_map<net::Endpoint, std::vector<Remote>> remotes_;
  std::size_t size_ = 0;
};

// What one reading of a namespace's two tables gave.
struct TableReading {
  struct Slot {
    bool closed = false;  // a row with inode 0
    std::vector<std::uint64_t> inodes;
  };
  std::size_t rows = 0;
  std::vector<Slot> slots;
};

// Reads net/tcp and net/tcp6 below `at`. A kernel without IPv6 has no tcp6. A row that is not of
// the form of proc(5) is an error: the socket could be in it.
[[nodiscard]] Result<TableReading> read_socket_tables(int at, const WantedTuples& wanted);

// Asks the procfs tables. They are read once for all questions of a call, and once for places in
// one namespace.
class TableReader final : public ScopeReader {
 public:
  void begin(std::span<const Question> questions) override;
  void ask(const Place& place, std::size_t i, ScopeFinding& finding) override;
  void directories_changed() override { by_directory_.clear(); }

 private:
  struct Read {
    std::optional<std::string> ended;  // the sandbox, before it could be read
    Result<TableReading> reading;
  };
  const Read& read(const Place& place);
  void prepare();

  std::span<const Question> questions_;
  WantedTuples wanted_;
  std::vector<std::vector<std::size_t>> slots_;  // of each question
  std::map<std::uint64_t, Read> by_namespace_;   // those that could be read
  std::map<int, Read> by_directory_;             // those that could not, or can't be told
};

// The procfs tables of every scope.
class SocketTables final : public SocketFinder {
 public:
  // All outlive this. `proc_root` is an open directory; without `scan` nothing is discovered.
  SocketTables(int proc_root, const std::vector<Sandbox>& sandboxes,
               const std::vector<net::Endpoint>& aliases, LocalAddresses& local,
               NamespaceScan* scan = nullptr)
      : walk_(proc_root, sandboxes, aliases, local, scan) {}

  [[nodiscard]] std::vector<Sighting> find(std::span<const Connection> connections) override {
    return walk_.find(connections, reader_);
  }

 private:
  ScopeWalk walk_;
  TableReader reader_;
};

}  // namespace warder::identity
