#include "server.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "net/socket.h"

namespace warder::bench {

OpaServer::OpaServer(const std::vector<std::string>& policies, const std::string& directory)
    : socket_(directory + "/opa.sock") {
  std::vector<std::string> words{"opa",
                                 "run",
                                 "--server",
                                 "--disable-telemetry",
                                 "--addr=unix://" + socket_,
                                 "--set",
                                 "decision_logs.console=true"};
  words.insert(words.end(), policies.begin(), policies.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  if (::posix_spawnp(&pid_, "opa", &actions, nullptr, arguments.data(), ::environ) != 0) pid_ = -1;
  ::posix_spawn_file_actions_destroy(&actions);
}

OpaServer::~OpaServer() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  ::unlink(socket_.c_str());
}

bool OpaServer::answers() const {
  constexpr int kTries = 600;
  for (int i = 0; pid_ > 0 && i < kTries; ++i) {
    const auto fd = net::start_connect_unix(socket_);
    if (fd && net::so_error(fd->get()) == 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

}  // namespace warder::bench
