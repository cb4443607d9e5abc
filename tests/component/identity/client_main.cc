// A client that does what it is told: one command a line on standard input, one line in answer to
// each. Ends with its input. It holds at most one connection, `held`.

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <thread>

#include "tests/component/identity/client_calls.h"
#include "tests/component/identity/client_lineage.h"
#include "tests/component/identity/client_tricks.h"

namespace {

int held = -1;

void answer(const std::string& line) { std::cout << line << std::endl; }

void answer_result(bool good) {
  answer(good ? "ok" : std::string("error ") + strerrorname_np(errno));
}

bool connect_to(const std::string& address, std::uint16_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  held = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage to{};
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  sockaddr_in6 six{};
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(port);
  const int parsed = v6 ? ::inet_pton(AF_INET6, address.c_str(), &six.sin6_addr)
                        : ::inet_pton(AF_INET, address.c_str(), &v4.sin_addr);
  if (parsed != 1) return false;
  if (v6)
    std::memcpy(&to, &six, sizeof six);
  else
    std::memcpy(&to, &v4, sizeof v4);
  return ::connect(held, reinterpret_cast<const sockaddr*>(&to), v6 ? sizeof six : sizeof v4) == 0;
}

// Returns only when it failed.
void exec_holding(const std::string& program, const char* mode) {
  ::fcntl(held, F_SETFD, 0);
  const std::string fd = std::to_string(held);
  ::execl(program.c_str(), program.c_str(), mode, fd.c_str(), nullptr);
}

// The child lives as long as this process; with a program it has executed that when this returns.
pid_t fork_child(const std::string& program) {
  int started[2];
  if (::pipe2(started, O_CLOEXEC) != 0) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!program.empty()) {
      exec_holding(program, "idle");
      ::_exit(1);
    }
    ::close(started[1]);
    for (;;) ::pause();
  }
  ::close(started[1]);
  char byte = 0;
  while (::read(started[0], &byte, 1) < 0 && errno == EINTR) continue;
  ::close(started[0]);
  return child;
}

// Nobody's table has the socket afterwards: it is on its way to this process.
bool park() { return park_copy(held) && ::close(held) == 0; }

bool mount_over(const std::string& what, const std::string& where) {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount(what.c_str(), where.c_str(), nullptr, MS_BIND, nullptr) == 0;
}

void serve();

// Ends the first thread; another goes on, and answers once the first is a zombie.
void leave_first_thread() {
  std::thread([] {
    const std::string stat = "/proc/self/task/" + std::to_string(::getpid()) + "/stat";
    for (;;) {
      std::string text;
      std::getline(std::ifstream(stat), text);
      if (text.find(") Z ") != std::string::npos) break;
      ::sched_yield();
    }
    answer("ok");
    serve();
    ::_exit(0);
  }).detach();
  ::pthread_exit(nullptr);
}

// A thread with a descriptor table of its own makes the connection.
void connect_apart(const std::string& address, std::uint16_t port) {
  std::atomic<int> outcome{-1};
  std::thread([&outcome, address, port] {
    const bool good = ::unshare(CLONE_FILES) == 0 && connect_to(address, port);
    outcome = good ? 0 : errno;
    for (;;) ::pause();
  }).detach();
  while (outcome < 0) ::sched_yield();
  errno = outcome;
  answer_result(outcome == 0);
}

// "ok INODE COOKIE DESCRIPTOR"
void tell_socket() {
  struct stat info {};
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (::fstat(held, &info) != 0 || ::getsockopt(held, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0)
    return answer_result(false);
  answer("ok " + std::to_string(info.st_ino) + " " + std::to_string(cookie) + " " +
         std::to_string(held));
}

int listener = -1;

// "ok PORT"
void listen_somewhere() {
  listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (::bind(listener, reinterpret_cast<const sockaddr*>(&at), size) != 0 ||
      ::listen(listener, 1) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0)
    return answer_result(false);
  answer("ok " + std::to_string(ntohs(at.sin_port)));
}

// Returns false for what is none of its commands.
bool obey_call(const std::string& command, const std::string& first, const std::string& second) {
  if (command == "socket") {
    tell_socket();
  } else if (command == "listen") {
    listen_somewhere();
  } else if (command == "accept") {
    answer_result(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC) >= 0);
  } else if (command == "dup") {
    answer_result(::dup(held) >= 0);
  } else if (command == "thread") {
    std::thread([] {
      for (;;) ::pause();
    }).detach();
    answer("ok");
  } else if (command == "wait") {  // nothing is obeyed any more
    answer("ok");
    wait_in(first, held);
  } else if (command == "wait-aside") {
    answer_result(wait_aside(first, held));
  } else if (command == "pretend") {
    answer_result(pretend_to_poll(held));
  } else if (command == "park-copy") {
    answer_result(park_copy(held));
  } else if (command == "uring") {
    answer_result(register_with_uring(held));
  } else if (command == "uring-read") {
    answer_result(read_by_uring(held));
  } else if (command == "share-table") {
    answer_result(share_table());
  } else if (command == "take") {
    held = take_from(std::atoi(first.c_str()), std::atoi(second.c_str()));
    answer_result(held >= 0);
  } else {
    return false;
  }
  return true;
}

// From here on a child in a PID namespace of its own obeys.
void go_on_in_pid_namespace() {
  if (::unshare(CLONE_NEWPID) != 0) return answer_result(false);
  const pid_t child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    answer("ok");
    serve();
    ::_exit(0);
  }
  if (child < 0) return answer_result(false);
  ::waitpid(child, nullptr, 0);
  ::_exit(0);
}

std::string apart_address;
std::uint16_t apart_port = 0;

bool obey_trick(const std::string& command, const std::string& first, std::uint16_t port) {
  namespace tricks = warder::testing;
  const int count = std::atoi(first.c_str());
  if (command == "dup-many") return tricks::duplicate(held, count);
  if (command == "open-many") return tricks::duplicate(0, count);
  if (command == "open-sockets") return tricks::open_sockets(count);
  if (command == "listen-and-connect") return tricks::listen_and_connect();
  if (command == "trace-second-thread") return tricks::trace_second_thread();
  if (command == "leave-orphan") return tricks::leave_orphan(first, held);
  if (command == "make-sibling") return tricks::make_sibling(first, held);
  if (command == "set-image") return tricks::set_image(first);
  if (command == "connect-in-thread") {
    bool good = false;
    std::thread([&] { good = connect_to(first, port); }).join();
    return good;
  }
  if (command == "connect-apart-in-two") {
    apart_address = first;
    apart_port = port;
    return tricks::connect_apart_in_two([] { return connect_to(apart_address, apart_port); });
  }
  errno = EINVAL;
  return false;
}

void obey(const std::string& line) {
  std::istringstream words(line);
  std::string command, first, second;
  words >> command >> first >> second;
  const auto port = static_cast<std::uint16_t>(std::strtoul(second.c_str(), nullptr, 10));
  if (command == "connect") return answer_result(connect_to(first, port));
  if (command == "connect-mapped") return answer_result(connect_to("::ffff:" + first, port));
  if (command == "connect-apart") return connect_apart(first, port);
  if (command == "close") return answer_result(::close(held) == 0);
  if (command == "shutdown") return answer_result(::shutdown(held, SHUT_WR) == 0);
  if (command == "park") return answer_result(park());
  if (command == "fork") return answer("ok " + std::to_string(fork_child(first)));
  if (command == "leave-first-thread") leave_first_thread();
  if (obey_call(command, first, second)) return;
  if (command == "exec") exec_holding(first, "serve");  // the new program answers
  if (command == "alien" && mount_over(first, second)) exec_holding(second, "serve");
  if (command == "go-on-in-pid-namespace") return go_on_in_pid_namespace();
  answer_result(obey_trick(command, first, port));
}

void serve() {
  std::string line;
  while (std::getline(std::cin, line)) obey(line);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3) {
    held = std::atoi(argv[2]);
    if (std::strcmp(argv[1], "idle") == 0)
      for (;;) ::pause();
    answer("ok");
  }
  serve();
  return 0;
}
