#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::proxy {

// The descriptor records are written to. One thread writes; another may call stop_at().
class RecordOutput {
 public:
  using Clock = std::chrono::steady_clock;

  // `fd` stays the caller's and must stay open.
  [[nodiscard]] static Result<std::unique_ptr<RecordOutput>> make(int fd);

  // Writes whole lines and waits as long as the reader takes, or until the time given to stop_at().
  // Returns how many bytes, counted in whole lines, were written: fewer than all when the time has
  // passed or the output is broken.
  [[nodiscard]] std::size_t write(std::string_view lines);

  // From now on nothing waits longer than until `deadline`; wakes a write that waits.
  void stop_at(Clock::time_point deadline);

 private:
  RecordOutput(int fd, net::UniqueFd reopened, net::UniqueFd wake);
  [[nodiscard]] ssize_t write_piece(std::string_view piece) const;
  [[nodiscard]] bool wait_writable();
  [[nodiscard]] std::optional<Clock::time_point> deadline() const;

  const net::UniqueFd reopened_;
  const net::UniqueFd wake_;
  const int fd_;
  const bool is_socket_;
  bool mid_line_ = false;  // the last line written was cut off

  mutable std::mutex mutex_;
  std::optional<Clock::time_point> deadline_;
};

}  // namespace warder::proxy
