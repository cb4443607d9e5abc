#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "identity/identity.h"
#include "identity/resolver.h"

namespace warder::identity {

// A socket of the kernel's.
struct FoundSocket {
  std::uint64_t inode = 0;
  std::uint64_t cookie = 0;  // SO_COOKIE; 0 where the lookup doesn't give it
  friend auto operator<=>(const FoundSocket&, const FoundSocket&) = default;
};

// What one scope gave for one connection.
struct ScopeFinding {
  enum class Kind {
    found,       // `sockets`
    closed,      // the tuple is there, but no process has the socket any more
    absent,      // not there
    skipped,     // not asked: what it says could not be true
    unreadable,  // no answer
  };
  Scope scope;
  Kind kind = Kind::absent;
  std::vector<FoundSocket> sockets;  // ascending, without repeats
  std::string outcome;               // for people
  // The client dialled another address than the proxy's, and no socket with that one was found.
  bool translated = false;
  std::string_view method = "procfs";  // or "sock_diag": how it was asked
};

// What every scope gave for one connection, in the order of the scopes.
using Sighting = std::vector<ScopeFinding>;

// Finds the client's own socket: local end = Connection::client; remote end = what it dialled.
class SocketFinder {
 public:
  virtual ~SocketFinder() = default;
  // One sighting for each connection, in order. May block.
  [[nodiscard]] virtual std::vector<Sighting> find(std::span<const Connection> connections) = 0;
};

// What a sighting comes to.
struct SocketVerdict {
  bool closed = false;  // the search ends: nobody else may be named in the owner's place
  bool unreadable = false;
  bool translated = false;
  std::vector<FoundSocket> sockets;  // of all scopes; ascending, each inode once
  std::vector<Scope> scopes;         // that had one of them, in order
  std::uint64_t first_inode = 0;
  std::string_view method = "procfs";  // of the first scope that had it, else of the last one
  friend bool operator==(const SocketVerdict& a, const SocketVerdict& b) {
    return a.closed == b.closed && a.sockets == b.sockets;
  }
};
[[nodiscard]] SocketVerdict judge(const Sighting& sighting);

// "pid:469: no entry in 12 rows; global: inode 4711"
[[nodiscard]] std::string text(const Sighting& sighting);

}  // namespace warder::identity
