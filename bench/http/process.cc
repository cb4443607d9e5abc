#include "process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

namespace warder::bench {
namespace {

void redirect(const std::string& path, int to) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd >= 0) ::dup2(fd, to);
}

[[noreturn]] void become(const std::vector<std::string>& command, const Process::Output& output) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);
  ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
  redirect(output.out, STDOUT_FILENO);
  redirect(output.err, STDERR_FILENO);
  std::vector<char*> argv;
  argv.reserve(command.size() + 1);
  for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

// The fields of /proc/<pid>/stat from the third, the state, on (proc(5)).
std::vector<std::string> stat_fields(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return {};
  std::istringstream rest(line.substr(name_end + 1));
  std::vector<std::string> fields;
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields;
}

constexpr std::size_t kGroupField = 5 - 3;
constexpr std::size_t kWaitedUserField = 16 - 3;
constexpr std::size_t kWaitedSystemField = 17 - 3;

std::vector<pid_t> members(pid_t group) {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    pid_t pid = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad != std::errc() || end != name.data() + name.size()) continue;
    const auto fields = stat_fields(pid);
    if (fields.size() > kGroupField && fields[kGroupField] == std::to_string(group))
      found.push_back(pid);
  }
  return found;
}

std::chrono::nanoseconds own_cpu(pid_t pid) {
  clockid_t clock = 0;
  timespec now{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &now) != 0) return {};
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

std::chrono::nanoseconds waited_cpu(pid_t pid) {
  const auto fields = stat_fields(pid);
  if (fields.size() <= kWaitedSystemField) return {};
  const std::int64_t ticks =
      std::atoll(fields[kWaitedUserField].c_str()) + std::atoll(fields[kWaitedSystemField].c_str());
  return std::chrono::nanoseconds(ticks * 1'000'000'000 / ::sysconf(_SC_CLK_TCK));
}

}  // namespace

Result<Process> Process::start(const std::vector<std::string>& command, const Output& output) {
  if (::access(command.front().c_str(), X_OK) != 0) return fail(from_errno(errno, command.front()));
  const pid_t pid = ::fork();
  if (pid < 0) return fail(from_errno(errno, "fork"));
  if (pid == 0) become(command, output);
  ::setpgid(pid, pid);  // both do it: whoever comes first
  return Process(pid);
}

Process::Process(Process&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}

Process::~Process() {
  if (pid_ == 0) return;
  ::kill(-pid_, SIGKILL);
  while (::waitpid(-pid_, nullptr, 0) > 0 || errno == EINTR) {
  }
}

Result<void> Process::still_runs() const {
  siginfo_t info{};
  // WNOWAIT: the destructor waits for it.
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
      info.si_pid == 0)
    return {};
  return fail(Errc::closed_by_peer, "it has ended");
}

std::chrono::nanoseconds group_cpu(pid_t group) {
  std::chrono::nanoseconds sum{};
  for (const pid_t pid : members(group)) sum += own_cpu(pid) + waited_cpu(pid);
  return sum;
}

std::uint64_t group_peak_rss_bytes(pid_t group) {
  std::uint64_t sum = 0;
  for (const pid_t pid : members(group)) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(file, line);)
      if (line.starts_with("VmHWM:")) sum += std::stoull(line.substr(6)) * 1024;
  }
  return sum;
}

void forget_peaks(pid_t group) {
  // proc_pid_clear_refs(5): 5 sets the peak to what is resident now.
  for (const pid_t pid : members(group))
    std::ofstream("/proc/" + std::to_string(pid) + "/clear_refs") << "5";
}

}  // namespace warder::bench
