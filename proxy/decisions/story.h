#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace warder::decisions {

// A line as it was logged, of an event of OPA's or a record of Warder's.
struct LoggedLine {
  std::string text;
  std::uint64_t count = 1;     // how many alike in a row it stands for; it is the last of them
  std::string since = {};      // when the first of those was written
  std::uint64_t left_out = 0;  // how many before it are not told
};

// One decision for people: lines of what was found in both logs, in printable ASCII. `brief`: who,
// what and why, without where the caller was found, each process of one that has a name, and what
// OPA says of itself; otherwise all. Of what only a record tells, less is left out.
[[nodiscard]] std::string tell_story(const std::vector<LoggedLine>& events,
                                     const std::vector<LoggedLine>& records, bool brief);

}  // namespace warder::decisions
