#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

#include "identity/resolver.h"
#include "net/unique_fd.h"

namespace warder::testing {

// The client program (client_main.cc), as the kernel names it.
extern const std::string kClientProgram;

// A copy of the client program in a directory of its own: another executable. Gone at the end.
class ProgramCopy {
 public:
  explicit ProgramCopy(const std::string& name);
  ~ProgramCopy();
  ProgramCopy(const ProgramCopy&) = delete;
  ProgramCopy& operator=(const ProgramCopy&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string directory_;
  std::string path_;
};

// The client program, running. Killed at the end.
class Client {
 public:
  explicit Client(const std::string& program);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  [[nodiscard]] pid_t pid() const { return pid_; }
  // Sends a command and returns the answer; fails the test when none comes within ten seconds.
  [[nodiscard]] std::string tell(const std::string& command);
  void kill();

 private:
  pid_t pid_ = -1;
  net::UniqueFd to_, from_;
};

// A listener, and a client's connection to it as the proxy sees it.
class Gate {
 public:
  explicit Gate(const std::string& address = "127.0.0.1");

  // Makes `client` connect by `command` and accepts it.
  [[nodiscard]] identity::Connection let_in(Client& client, const std::string& command = "connect");
  // The proxy's end of the last connection.
  [[nodiscard]] int accepted() const { return accepted_.get(); }

 private:
  net::UniqueFd listener_, accepted_;
  net::Endpoint at_;
};

}  // namespace warder::testing
