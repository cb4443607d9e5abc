#pragma once

#include <string>
#include <vector>

namespace warder::identity {

// One way of looking, and whether this kernel and these privileges allow it. Found out by doing it
// once at start.
struct Ability {
  std::string name;  // a fixed word: part of the outside (metrics, doctor)
  bool available = false;
  std::string detail;   // what stands in the way, and which capability or setting would help
  std::string instead;  // what is done without it
};

using Abilities = std::vector<Ability>;

}  // namespace warder::identity
