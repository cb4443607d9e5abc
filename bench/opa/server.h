#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace warder::bench {

// `opa run --server` on a unix socket; its console decision log goes to /dev/null.
class OpaServer {
 public:
  // `policies`: folders to load; `directory` is for the socket.
  OpaServer(const std::vector<std::string>& policies, const std::string& directory);
  ~OpaServer();
  OpaServer(const OpaServer&) = delete;
  OpaServer& operator=(const OpaServer&) = delete;

  // Whether it answers, within half a minute.
  [[nodiscard]] bool answers() const;
  [[nodiscard]] const std::string& socket() const { return socket_; }

 private:
  std::string socket_;
  pid_t pid_ = -1;
};

}  // namespace warder::bench
