#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "net/result.h"

namespace warder::bench {

// A program of the comparison, with a process group of its own. The destructor ends the group and
// waits until it is gone; the bench is its subreaper.
class Process {
 public:
  // Standard output and standard error go to the files of these names, which are appended to.
  struct Output {
    std::string out = "/dev/null";
    std::string err = "/dev/null";
  };
  [[nodiscard]] static Result<Process> start(const std::vector<std::string>& command,
                                             const Output& output);
  Process(Process&& other) noexcept;
  Process& operator=(Process&&) = delete;
  ~Process();

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Errors: closed_by_peer, when it has ended.
  [[nodiscard]] Result<void> still_runs() const;

 private:
  explicit Process(pid_t pid) : pid_(pid) {}

  pid_t pid_;
};

// Of all processes of a group, those that ended and were waited for included.
[[nodiscard]] std::chrono::nanoseconds group_cpu(pid_t group);
// The sum of the processes' peaks since forget_peaks(); what they share counts for each.
[[nodiscard]] std::uint64_t group_peak_rss_bytes(pid_t group);
void forget_peaks(pid_t group);

}  // namespace warder::bench
