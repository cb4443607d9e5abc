#include "child.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace warder::bench {
namespace {

constexpr int kReadyWithinMs = 60'000;

tl::unexpected<Error> system_error(const std::string& what, int code) {
  return fail(Error{Errc::system, code, what});
}

int give_up(const char* what) {
  std::fprintf(stderr, "bench_identity: %s: %s\n", what, std::strerror(errno));
  return EXIT_FAILURE;
}

void say_ready() {
  const char byte = '.';
  (void)!::write(STDOUT_FILENO, &byte, 1);
}

void sleep_until_ended() {
  for (;;) ::pause();
}

int hold_files(int count) {
  for (int i = 0; i < count; ++i)
    if (::open("/dev/null", O_RDONLY | O_CLOEXEC) < 0) return give_up("open /dev/null");
  say_ready();
  sleep_until_ended();
  return EXIT_SUCCESS;
}

int hold_processes(int count) {
  for (int i = 0; i < count; ++i) {
    const pid_t pid = ::fork();
    if (pid < 0) return give_up("fork");
    if (pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      sleep_until_ended();
    }
  }
  say_ready();
  sleep_until_ended();
  return EXIT_SUCCESS;
}

sockaddr_in loopback(std::uint32_t host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host);
  address.sin_port = htons(port);
  return address;
}

// bind(2) and connect(2) take the general type.
const sockaddr* general(const sockaddr_in& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// One pair, from an address of its own. Both ends are reset when they close, so that nothing stays
// behind in TIME_WAIT for the next row.
bool connect_pair(int listener, std::uint16_t port, std::uint32_t host) {
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (client < 0) return false;
  const linger reset{1, 0};
  ::setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  const sockaddr_in from = loopback(host, 0);
  const sockaddr_in to = loopback(host, port);
  if (::bind(client, general(from), sizeof from) != 0) return false;
  if (::connect(client, general(to), sizeof to) != 0) return false;
  const int accepted = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (accepted < 0) return false;
  return ::setsockopt(accepted, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0;
}

int hold_sockets(int count) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in any{};
  any.sin_family = AF_INET;
  any.sin_addr.s_addr = htonl(INADDR_ANY);
  socklen_t length = sizeof any;
  if (listener < 0 || ::bind(listener, general(any), sizeof any) != 0 ||
      ::listen(listener, 16) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&any), &length) != 0)
    return give_up("listen");
  // By its number, so that several of these don't use the same addresses in the same order.
  const auto first = static_cast<std::uint32_t>(::getpid()) * 251;
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(count); ++i)
    if (!connect_pair(listener, ntohs(any.sin_port), 2 + (first + i * 17) % 0xff'ff00))
      return give_up("connect a pair");
  say_ready();
  sleep_until_ended();
  return EXIT_SUCCESS;
}

int be_client(int port, const std::string& wait) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in to = loopback(1, static_cast<std::uint16_t>(port));
  if (fd < 0 || ::connect(fd, general(to), sizeof to) != 0) return give_up("connect");
  say_ready();
  char byte = 0;
  if (wait == "recv") return ::recv(fd, &byte, 1, 0) < 0 ? give_up("recv") : EXIT_SUCCESS;
  pollfd entry{fd, POLLIN, 0};
  if (wait == "poll") return ::poll(&entry, 1, -1) < 0 ? give_up("poll") : EXIT_SUCCESS;
  sleep_until_ended();
  return EXIT_SUCCESS;
}

[[noreturn]] void become(const std::string& program, const std::vector<std::string>& arguments,
                         int standard_output) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);
  ::dup2(standard_output, STDOUT_FILENO);
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(program.c_str(), argv.data());
  ::_exit(127);
}

}  // namespace

Result<Child> Child::start(const std::string& program, const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("pipe2", errno);
  const net::UniqueFd reading(ends[0]);
  net::UniqueFd writing(ends[1]);
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("fork", errno);
  if (pid == 0) become(program, arguments, writing.get());
  ::setpgid(pid, pid);  // both do it: whoever comes first
  Child child(pid);
  writing.reset();
  pollfd entry{reading.get(), POLLIN, 0};
  char byte = 0;
  if (::poll(&entry, 1, kReadyWithinMs) != 1 || ::read(reading.get(), &byte, 1) != 1)
    return fail(Errc::system, program + " " + arguments.front() + " did not get ready");
  return child;
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}

Child::~Child() {
  if (pid_ == 0) return;
  ::kill(-pid_, SIGKILL);
  // What it made is ours since it ended (PR_SET_CHILD_SUBREAPER) and still of its group.
  while (::waitpid(-pid_, nullptr, 0) > 0 || errno == EINTR) {
  }
}

bool is_role(const std::vector<std::string>& arguments) {
  return !arguments.empty() && (arguments[0].starts_with("hold-") || arguments[0] == "client");
}

int play_role(const std::vector<std::string>& arguments) {
  const std::string& role = arguments[0];
  const int number = arguments.size() > 1 ? std::atoi(arguments[1].c_str()) : 0;
  if (role == "hold-files") return hold_files(number);
  if (role == "hold-sockets") return hold_sockets(number);
  if (role == "hold-processes") return hold_processes(number);
  return be_client(number, arguments.size() > 2 ? arguments[2] : "pause");
}

}  // namespace warder::bench
