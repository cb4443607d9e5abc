#pragma once

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "identity/resolver.h"
#include "net/unique_fd.h"
#include "tests/component/identity/churn_log.h"

namespace warder::testing {

// Processes that pass their connections on to each other as fast as they can. Killed at the end.
class Churner {
 public:
  // Connections of each worker.
  explicit Churner(std::uint32_t sockets);
  ~Churner();
  Churner(const Churner&) = delete;
  Churner& operator=(const Churner&) = delete;

  // As the proxy sees them, by the number they have in the log.
  [[nodiscard]] const std::vector<identity::Connection>& connections() const {
    return connections_;
  }
  void begin();
  // The log is full.
  [[nodiscard]] bool at_end() const { return log_->stop; }
  // Afterwards every process is stopped (SIGSTOP), and keeps what it has.
  void freeze();
  // The worker that is process `pid`, or -1.
  [[nodiscard]] int worker(pid_t pid) const;
  [[nodiscard]] const std::vector<pid_t>& pids() const { return pids_; }
  // After freeze().
  [[nodiscard]] churn::History history() const { return churn::History(*log_); }

 private:
  void start(std::uint16_t port, int memory, const std::vector<net::UniqueFd>& mail);
  void let_in(int listener);

  churn::Log* log_ = nullptr;
  std::vector<pid_t> pids_;
  std::vector<net::UniqueFd> accepted_;
  std::vector<identity::Connection> connections_;
};

}  // namespace warder::testing
