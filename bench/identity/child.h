#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::bench {

// A process of ours that has done what it is for and now idles. Its destructor ends it and every
// process it made, and waits until all are gone.
class Child {
 public:
  // Runs `program` with `arguments` and returns when it says that it is ready (one byte on its
  // standard output). Errors: system (it ended, or was not ready within a minute).
  [[nodiscard]] static Result<Child> start(const std::string& program,
                                           const std::vector<std::string>& arguments);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();

  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}

  pid_t pid_;
};

// What a child does when `arguments` (without the program's name) name one of its roles; nullopt
// when they don't. Does not return before it is ended, except with an exit status for an error.
//   hold-files N        N open files
//   hold-sockets N      N connected pairs of TCP sockets, and a listener, on addresses of
//                       127.0.0.0/8
//   hold-processes N    N processes that sleep
//   client PORT WAIT    one connection to 127.0.0.1:PORT, then WAIT: pause, recv or poll
[[nodiscard]] int play_role(const std::vector<std::string>& arguments);
[[nodiscard]] bool is_role(const std::vector<std::string>& arguments);

}  // namespace warder::bench
