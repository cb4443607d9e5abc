#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "child.h"
#include "net/result.h"

namespace warder::bench {

// What there is on the host. Sockets are those of our network namespace, TCP only.
struct HostCount {
  std::size_t sockets = 0;
  std::size_t files = 0;
  std::size_t processes = 0;
};
[[nodiscard]] HostCount count_host();

// Up to so many of each, all that was there before included.
struct LoadTarget {
  std::size_t sockets = 0;
  std::size_t files = 0;
  std::size_t processes = 0;
};

// Processes that hold sockets and files, and others that only sleep; gone with this object.
class Load {
 public:
  // Brings the host up to `target` where it is below it. `program` plays the roles.
  [[nodiscard]] static Result<Load> make(const std::string& program, const LoadTarget& target);

 private:
  std::vector<Child> children_;
};

}  // namespace warder::bench
