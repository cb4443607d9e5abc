#include "tests/component/identity/client_tricks.h"

#include <netinet/in.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

namespace warder::testing {
namespace {

bool connect_to_own(int from, int listener) {
  sockaddr_in at{};
  socklen_t length = sizeof at;
  return ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &length) == 0 &&
         ::connect(from, reinterpret_cast<const sockaddr*>(&at), length) == 0;
}

}  // namespace

bool duplicate(int fd, int count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  for (int i = 0; i < count; ++i)
    if (::dup(fd) < 0) return false;
  return true;
}

bool listen_and_connect() {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  const int near = ::socket(AF_INET, SOCK_STREAM, 0);
  return ::listen(listener, 1) == 0 && connect_to_own(near, listener) &&
         ::accept(listener, nullptr, nullptr) >= 0;
}

bool connect_apart_in_two(bool (*connect)()) {
  std::atomic<int> outcome{-1};
  std::thread([&outcome, connect] {
    const bool good = ::unshare(CLONE_FILES) == 0 && connect();
    const int error = errno;
    std::thread([&outcome, good, error] {
      outcome = good ? 0 : error;
      for (;;) ::pause();
    }).detach();
    for (;;) ::pause();
  }).detach();
  while (outcome < 0) ::sched_yield();
  errno = outcome;
  return outcome == 0;
}

bool open_sockets(int count) {
  for (int i = 0; i < count; ++i)
    if (::socket(AF_INET, SOCK_STREAM, 0) < 0) return false;
  return true;
}

bool trace_second_thread() {
  std::atomic<pid_t> second{0};
  std::thread([&second] {
    second = static_cast<pid_t>(::syscall(SYS_gettid));
    for (;;) ::pause();
  }).detach();
  while (second == 0) ::sched_yield();
  std::array<int, 2> done{};
  if (::pipe(done.data()) != 0) return false;
  if (::fork() == 0) {
    // Before anybody knows: the parent can't be reaped while its thread is traced.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    const bool good = ::ptrace(PTRACE_SEIZE, second.load(), nullptr, nullptr) == 0;
    const char byte = good ? 'y' : 'n';
    if (::write(done[1], &byte, 1) != 1) ::_exit(1);
    for (;;) ::pause();
  }
  char byte = 'n';
  return ::read(done[0], &byte, 1) == 1 && byte == 'y';
}

}  // namespace warder::testing
