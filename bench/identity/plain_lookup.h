#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "net/address.h"

namespace warder::bench {

// What a program does that knows procfs only, done well: the tables in large reads, rows compared
// as text, then every descriptor of every process by readlinkat(2), compared as text; all of them,
// because a second holder may come after the first. It verifies nothing and remembers nothing.
struct PlainAnswer {
  std::vector<pid_t> holders;
  std::string path;  // of the first one's image
};

class PlainLookup {
 public:
  PlainLookup();
  // nullopt: no such socket. Addresses are IPv4.
  [[nodiscard]] std::optional<PlainAnswer> look(const net::Endpoint& client,
                                                const net::Endpoint& proxy);

 private:
  [[nodiscard]] std::optional<std::string> find_inode(const char* table, const std::string& tuple);
  [[nodiscard]] std::vector<pid_t> find_holders(const std::string& target) const;

  std::vector<char> buffer_;
};

}  // namespace warder::bench
