#include "run.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <iterator>

namespace warder::bench {
namespace {

[[noreturn]] void become(const std::vector<std::string>& command, const std::string& out) {
  ::dup2(::open("/dev/null", O_RDWR | O_CLOEXEC), STDERR_FILENO);
  ::dup2(::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644), STDOUT_FILENO);
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  ::_exit(127);
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

}  // namespace

Result<Run> run_to_end(const std::vector<std::string>& command, const std::string& out) {
  const auto begin = std::chrono::steady_clock::now();
  const pid_t pid = ::fork();
  if (pid < 0) return fail(from_errno(errno, "fork"));
  if (pid == 0) become(command, out);
  int status = 0;
  rusage used{};
  while (::wait4(pid, &status, 0, &used) < 0) {
    if (errno != EINTR) return fail(from_errno(errno, "wait4"));
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail(Errc::closed_by_peer, command.front() + " failed");
  Run run;
  run.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  run.cpu_seconds = seconds(used.ru_utime) + seconds(used.ru_stime);
  run.peak_rss_bytes = static_cast<std::uint64_t>(used.ru_maxrss) * 1024;
  std::ifstream file(out);
  run.lines = static_cast<std::uint64_t>(
      std::count(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>(), '\n'));
  return run;
}

}  // namespace warder::bench
