#pragma once

#include <functional>
#include <string_view>
#include <utility>

#include "identity/holder_finder.h"
#include "identity/identity.h"
#include "identity/socket_finder.h"

namespace warder::identity {

// Tells the steps of a lookup, one line each, for people. Costs nothing when nobody listens. Paths
// in them are raw bytes.
class Trace {
 public:
  using Listener = std::function<void(std::string_view step)>;

  Trace() = default;
  explicit Trace(Listener listener) : listener_(std::move(listener)) {}

  void attempt(int number) const;
  void searched(const Sighting& sighting, bool again) const;
  void scanned(const HolderScan& scan) const;
  void read(const Process& process) const;
  // `problem` is empty when all was as before.
  void looked_again(std::string_view problem) const;
  void concluded(const Identity& identity) const;

 private:
  Listener listener_;
};

}  // namespace warder::identity
