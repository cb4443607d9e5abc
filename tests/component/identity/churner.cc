#include "tests/component/identity/churner.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch_test_macros.hpp>
#include <csignal>
#include <string>

#include "net/socket.h"
#include "tests/support/sockets.h"

namespace warder::testing {
namespace {

constexpr int kPatience = 60000;  // milliseconds

void wait_readable(int fd) {
  pollfd wanted{fd, POLLIN, 0};
  REQUIRE(::poll(&wanted, 1, kPatience) == 1);
}

void wait_a_little() { ::poll(nullptr, 0, 1); }

}  // namespace

Churner::Churner(std::uint32_t sockets) {
  const net::UniqueFd memory(::memfd_create("churn", MFD_CLOEXEC));
  REQUIRE(::ftruncate(memory.get(), sizeof(churn::Log)) == 0);
  void* const at =
      ::mmap(nullptr, sizeof(churn::Log), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  REQUIRE(at != MAP_FAILED);
  log_ = static_cast<churn::Log*>(at);
  log_->sockets = sockets;
  std::vector<net::UniqueFd> mail;
  for (int i = 0; i < churn::kWorkers; ++i) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    for (const int end : ends) mail.emplace_back(end);
  }
  const Listening listening = listen_somewhere();
  start(listening.at.port, memory.get(), mail);
  let_in(listening.fd.get());
}

Churner::~Churner() {
  for (const pid_t pid : pids_) ::kill(pid, SIGKILL);
  for (const pid_t pid : pids_) ::waitpid(pid, nullptr, 0);
  if (log_ != nullptr) ::munmap(log_, sizeof(churn::Log));
}

void Churner::start(std::uint16_t port, int memory, const std::vector<net::UniqueFd>& mail) {
  // Descriptors that lie above what posix_spawn puts in their places.
  constexpr int kFirst = 3;
  for (int worker = 0; worker < churn::kWorkers; ++worker) {
    posix_spawn_file_actions_t actions;
    REQUIRE(::posix_spawn_file_actions_init(&actions) == 0);
    std::vector<net::UniqueFd> high;
    std::vector<std::string> words{WARDER_IDENTITY_CHURNER, std::to_string(worker),
                                   std::to_string(port)};
    const auto hand_over = [&](int fd) {
      const int to = kFirst + static_cast<int>(high.size());
      high.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 100));
      ::posix_spawn_file_actions_adddup2(&actions, high.back().get(), to);
      words.push_back(std::to_string(to));
    };
    hand_over(memory);
    for (const net::UniqueFd& end : mail) hand_over(end.get());
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t pid = -1;
    const int failed =
        ::posix_spawn(&pid, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    REQUIRE(failed == 0);
    pids_.push_back(pid);
  }
}

void Churner::let_in(int listener) {
  const std::size_t count = std::size_t{log_->sockets} * churn::kWorkers;
  connections_.resize(count);
  for (std::size_t i = 0; i < count; ++i) {
    wait_readable(listener);
    auto accepted = net::accept_tcp(listener);
    REQUIRE(accepted);
    REQUIRE(*accepted);
    std::uint32_t number = 0;
    wait_readable((*accepted)->fd.get());
    REQUIRE(::read((*accepted)->fd.get(), &number, sizeof number) == sizeof number);
    const auto local = net::local_endpoint((*accepted)->fd.get());
    REQUIRE(local);
    connections_.at(number) = {(*accepted)->peer, *local, {}};
    accepted_.push_back(std::move((*accepted)->fd));
  }
}

void Churner::begin() { log_->go = true; }

void Churner::freeze() {
  log_->stop = true;
  while (log_->stopped < churn::kWorkers) wait_a_little();
  for (const pid_t pid : pids_) {
    ::kill(pid, SIGSTOP);
    REQUIRE(::waitpid(pid, nullptr, WUNTRACED) == pid);
  }
}

int Churner::worker(pid_t pid) const {
  const auto at = std::find(pids_.begin(), pids_.end(), pid);
  return at == pids_.end() ? -1 : static_cast<int>(at - pids_.begin());
}

}  // namespace warder::testing
