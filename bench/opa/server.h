#pragma once

#include <sys/types.h>

#include <string>

namespace warder::bench {

// `opa run --server` on a unix socket with the bundled policy; its console decision log goes to
// /dev/null.
class OpaServer {
 public:
  // `rego` is the folder of the policy package; `directory` is for the socket.
  OpaServer(const std::string& rego, const std::string& directory);
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
