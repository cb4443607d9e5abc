#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/decisions/event.h"

namespace warder::decisions {

// Which decisions are wanted. All that is set must hold; of a list, one entry.
struct Filter {
  std::optional<std::int64_t> since, until;  // since <= time < until
  std::vector<std::string> binaries;         // exact, or with stars (glob.h)
  std::vector<std::string> hosts;            // likewise, lower case
  std::vector<std::uint16_t> ports;
  bool allow = false;  // allowed, if only because the policy audits
  bool deny = false;   // everything else
  std::vector<std::string> policies, grades, assurances, revisions;
  std::vector<std::string>
      containers;  // of any of the caller's processes; the id's beginning will do
  std::vector<std::string> request_ids, decision_ids;
  std::vector<std::string> ids;          // either
  std::string reason;                    // part of it; empty: any
  std::string path = "egress/decision";  // of an event; "*": any
  bool probes = false;                   // Warder's own questions, asked to see whether OPA answers

  // Of an event of OPA's, or a record of a decision.
  [[nodiscard]] bool matches(const Event& event) const;
};

// Whether Warder asked this to see whether OPA answers, on nobody's behalf.
[[nodiscard]] bool is_probe(const Event& event);

// Says of a line, from its bytes alone, that it can't be wanted. Exact: what JSON can spell in more
// than one way is left to be read.
class Prefilter {
 public:
  // Passes everything.
  Prefilter() = default;
  explicit Prefilter(const Filter& filter);

  [[nodiscard]] bool active() const { return !groups_.empty(); }
  [[nodiscard]] bool rules_out(std::string_view line) const;

 private:
  void add(const std::vector<std::string>& texts);

  std::vector<std::vector<std::string>> groups_;  // of each, one text must be there
};

}  // namespace warder::decisions
