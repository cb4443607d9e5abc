#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/result.h"
#include "proxy/decisions/filter.h"
#include "proxy/decisions/line_decoder.h"

namespace warder::decisions {

// Gets the decisions and records of logs, in their order.
class ItemSink {
 public:
  virtual ~ItemSink() = default;
  // `item` holds for the call only. False ends the scan.
  virtual bool on_item(const Item& item) = 0;
};

// How far a scan is, on standard error, at most twice a second.
class Progress {
 public:
  // Shows nothing unless `wanted`, and nothing of what takes less than a second.
  Progress(bool wanted, const std::vector<std::string>& paths);
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  // Erases.
  ~Progress();

  void advance(std::uint64_t bytes_of_file);
  void next_file();
  // To be called before a row is written to standard output, which may be the same terminal.
  void make_way();
  // Until the next advance() that shows something.
  void erase();

 private:
  const bool wanted_;
  const bool rows_to_terminal_;
  bool shown_ = false;
  std::uint64_t total_ = 0;  // 0: not known
  std::uint64_t before_ = 0;
  std::uint64_t current_ = 0;
  std::uint64_t calls_ = 0;
  std::int64_t begun_ = 0, last_ = 0;
};

struct ScanOptions {
  std::vector<std::string> paths;  // in this order; "-" is standard input
  bool progress = false;
};

// Reads files from beginning to end. Counts what it met into `counts`, also when it fails. What is
// wrong with lines is no error. Errors: system, not_found, …, from opening or reading a file. A
// sink that writes rows has a `progress` of its own, made for the same paths; it is erased at the
// end.
[[nodiscard]] Result<void> scan(const ScanOptions& options, const Prefilter& prefilter,
                                LineCounts& counts, ItemSink& sink);
[[nodiscard]] Result<void> scan(const std::vector<std::string>& paths, const Prefilter& prefilter,
                                LineCounts& counts, ItemSink& sink, Progress& progress);

// One sentence about what a log was made of: "1,000 lines: 998 decisions, 1 torn, 1 foreign".
[[nodiscard]] std::string summary(const LineCounts& counts);

}  // namespace warder::decisions
