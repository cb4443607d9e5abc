#pragma once

#include <string>
#include <vector>

namespace warder::decisions {

// One decision for people: lines of what was found in both logs, in printable ASCII. Each text of
// `events` and `records` is a line as it was logged, of an event of OPA's or a record of Warder's.
// `brief`: who, what and why, without where the caller was found, each process of one that has a
// name, and what OPA says of itself; otherwise all. Of what only a record tells, less is left out.
[[nodiscard]] std::string tell_story(const std::vector<std::string>& events,
                                     const std::vector<std::string>& records, bool brief);

}  // namespace warder::decisions
