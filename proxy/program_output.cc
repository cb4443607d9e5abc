#include "proxy/program_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "net/unique_fd.h"

namespace warder::proxy {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  net::UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(from_errno(errno, "pipe"));
  return Pipe{net::UniqueFd(ends[0]), net::UniqueFd(ends[1])};
}

// Ends with the object.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  ~Child() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    (void)wait();
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_;
};

Result<pid_t> spawn(const std::vector<std::string>& argv, int out, int err) {
  std::vector<std::string> copy = argv;
  std::vector<char*> pointers;
  pointers.reserve(copy.size() + 1);
  for (std::string& argument : copy) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  pid_t pid = 0;
  const int error =
      ::posix_spawnp(&pid, argv[0].c_str(), &actions, nullptr, pointers.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail(from_errno(error, argv[0]));
  return pid;
}

// False at its end.
Result<bool> take(int fd, std::string& into) {
  std::array<char, 65536> chunk;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const ssize_t got = ::read(fd, chunk.data(), chunk.size());
  if (got < 0 && errno == EINTR) return true;
  if (got < 0) return fail(from_errno(errno, "read"));
  into.append(chunk.data(), static_cast<std::size_t>(got));
  return got > 0;
}

Result<void> collect(Pipe& out, Pipe& err, const ProgramLimits& limits, ProgramOutput& output) {
  const auto end = Clock::now() + limits.time;
  std::array<pollfd, 2> waits{{{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}}};
  const std::array<std::string*, 2> texts{&output.out, &output.err};
  while (waits[0].fd >= 0 || waits[1].fd >= 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now());
    const int ready =
        left.count() <= 0 ? 0 : ::poll(waits.data(), 2, static_cast<int>(left.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return fail(from_errno(errno, "poll"));
    if (ready == 0)
      return fail(Errc::overloaded,
                  fmt::format("it did not end within {} s", limits.time.count() / 1000));
    for (std::size_t i = 0; i < 2; ++i) {
      if (waits.at(i).revents == 0) continue;
      const auto more = take(waits.at(i).fd, *texts.at(i));
      if (!more) return fail(more.error());
      if (!*more) waits.at(i).fd = -1;
    }
    if (output.out.size() + output.err.size() > limits.bytes)
      return fail(Errc::overloaded, fmt::format("it wrote more than {} bytes", limits.bytes));
  }
  return {};
}

}  // namespace

Result<ProgramOutput> run_program(const std::vector<std::string>& argv,
                                  const ProgramLimits& limits) {
  auto out = make_pipe();
  if (!out) return fail(out.error());
  auto err = make_pipe();
  if (!err) return fail(err.error());
  const auto pid = spawn(argv, out->write.get(), err->write.get());
  if (!pid) return fail(pid.error());
  Child child(*pid);
  out->write.reset();
  err->write.reset();
  ProgramOutput output;
  if (auto collected = collect(*out, *err, limits, output); !collected)
    return fail(std::move(collected.error()));
  output.exit_code = child.wait();
  return output;
}

}  // namespace warder::proxy
