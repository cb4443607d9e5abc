#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "net/result.h"
#include "proxy/decisions/filter.h"
#include "proxy/decisions/rows.h"
#include "proxy/decisions/scan.h"

namespace warder::decisions {

// What a command was asked for.
struct Options {
  std::vector<std::string> logs;     // OPA's
  std::vector<std::string> records;  // Warder's
  Filter filter;
  Form form = Form::table;
  std::size_t limit = 0;             // rows; 0: all
  std::size_t most_ids = 4'000'000;  // records that may be kept in mind
  bool progress = false;
  bool from_start = false;  // tail

  std::string id;    // show, why
  std::string what;  // top
};

// Each writes to standard output what it found, and to standard error what the logs were made of.
// The exit code: 0 well; 1 nothing found (show, why), logs that differ (compare), or a file that
// can't be read.
[[nodiscard]] int run_query(const Options& options);
[[nodiscard]] int run_tail(const Options& options);
[[nodiscard]] int run_top(const Options& options);
[[nodiscard]] int run_stats(const Options& options);
[[nodiscard]] int run_compare(const Options& options);
// `brief`: who, what and why; otherwise all.
[[nodiscard]] int run_show(const Options& options, bool brief);

// What run_top takes as Options::what.
[[nodiscard]] std::vector<std::string> top_kinds();

// Used by them.

[[nodiscard]] inline ScanOptions logs_of(const Options& options) {
  return {options.logs, options.progress};
}
[[nodiscard]] inline ScanOptions records_of(const Options& options) {
  return {options.records, options.progress};
}

// Says on standard error what went wrong; the exit code.
[[nodiscard]] int complain(const Error& error);
[[nodiscard]] int complain_of_room(const Options& options);
void tell_summary(std::string_view name, const LineCounts& counts);

// Reads Warder's records. False when there was no room. Errors: those of scan().
[[nodiscard]] Result<bool> read_answers(const Options& options, Answers& answers);

}  // namespace warder::decisions
