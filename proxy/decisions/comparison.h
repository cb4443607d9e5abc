#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

#include "proxy/decisions/event.h"
#include "proxy/decisions/id_table.h"

namespace warder::decisions {

// Which decisions stand in only one of two logs. First every record of Warder's is known, then
// every event of OPA's log seen, then every record once more: those of decisions not seen are
// missing there. Memory grows with the records, up to `most_ids` of them.
class Comparison {
 public:
  enum class Found { nothing_new, only_here, no_room };

  struct Totals {
    std::uint64_t in_both = 0;
    std::uint64_t only_recorded = 0;          // OPA's log lacks them
    std::uint64_t only_recorded_as_sums = 0;  // likewise, known by `repeated` records only
    std::uint64_t only_logged = 0;            // Warder's records lack them
    std::uint64_t logged_twice = 0;           // uploads are repeated (at least once)
    std::uint64_t recorded_twice = 0;         // a file that was given twice
    std::uint64_t summed_up = 0;              // events that a `repeated` record stands for
    std::uint64_t asked_again = 0;   // events of a request whose records name other decisions
    std::uint64_t not_received = 0;  // events of a request that got no answer from OPA
    std::uint64_t unanswered = 0;    // records of such requests that have no event
    std::uint64_t reused = 0;        // records of an answer that was given again
    std::uint64_t never_asked = 0;   // records of requests refused before
    std::uint64_t records_lost = 0;  // what `dropped` records say
    std::uint64_t probes = 0;
  };

  // `path`: the events that count (Filter::path).
  Comparison(std::size_t most_ids, std::string path);

  // The three passes, in this order. Each takes events of either kind and passes over the other.
  [[nodiscard]] Found know(const Event& event);
  [[nodiscard]] Found see(const Event& event);
  [[nodiscard]] Found miss(const Event& event);
  // After the last one.
  [[nodiscard]] const Totals& finish();

  [[nodiscard]] bool overfull() const { return decisions_.overfull() || requests_.overfull(); }

 private:
  [[nodiscard]] Found know_decision(const Event& record);
  void know_sum(const Event& record);
  [[nodiscard]] bool covered_by_sum(const Event& event);

  const std::string path_;
  IdTable decisions_, requests_;
  // Refusals that were not told one by one, by what OPA said, program and destination.
  std::unordered_map<std::string, std::uint64_t> sums_;
  Totals totals_;
};

}  // namespace warder::decisions
