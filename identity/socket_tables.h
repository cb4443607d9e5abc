#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "identity/local_address.h"
#include "identity/sandbox.h"
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

// The procfs tables of the sandboxes in order, then of our own network namespace. The tables are
// read once for all connections of a call, and once for sandboxes in one namespace.
class SocketTables final : public SocketFinder {
 public:
  // All outlive this. `proc_root` is an open directory.
  SocketTables(int proc_root, const std::vector<Sandbox>& sandboxes,
               const std::vector<net::Endpoint>& aliases, LocalAddresses& local);

  [[nodiscard]] std::vector<Sighting> find(std::span<const Connection> connections) override;

 private:
  struct Call;
  void ask_sandbox(const Sandbox& sandbox, Call& call) const;
  void ask_global(Call& call) const;
  const Result<TableReading>& read(int at, std::optional<std::uint64_t> network_namespace,
                                   Call& call) const;

  int proc_root_;
  const std::vector<Sandbox>& sandboxes_;
  const std::vector<net::Endpoint>& aliases_;
  LocalAddresses& local_;
};

}  // namespace warder::identity
