#include "identity/sandbox_search.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <optional>
#include <vector>

#include "identity/cgroup_path.h"
#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

constexpr std::size_t kProcsLimit = std::size_t{4} * 1024 * 1024;
constexpr std::size_t kPidfileLimit = 32;
constexpr std::size_t kShortestId = 12;
constexpr std::size_t kCgroups = 1024;  // below the one named
constexpr int kDepth = 16;
// Start times are cut to a hundredth of a second, and so may be the times of files.
constexpr std::int64_t kGrain = 20'000'000;
constexpr std::int64_t kSecond = 1'000'000'000;

std::int64_t now_of(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return time.tv_sec * kSecond + time.tv_nsec;
}

// Of living processes; the number decides where the clock doesn't.
struct Candidate {
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  friend bool operator<(const Candidate& a, const Candidate& b) {
    return a.start_time != b.start_time ? a.start_time < b.start_time : a.pid < b.pid;
  }
};

std::optional<Candidate> candidate(int proc_root, pid_t pid) {
  const auto text = read_file(proc_root, std::to_string(pid) + "/stat", kSmallFile);
  const auto stat = text ? parse_stat(*text) : std::nullopt;
  if (!stat || stat->state == 'Z' || stat->state == 'X') return std::nullopt;
  return Candidate{pid, stat->start_time};
}

struct Pidfile {
  pid_t pid = 0;
  std::int64_t written = 0;  // nanoseconds since 1970
};

Result<Pidfile> read_pidfile(const std::string& path) {
  const net::UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file) return fail(from_errno(errno, path));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return fail(from_errno(errno, path));
  if (!S_ISREG(info.st_mode)) return fail(Errc::not_found, path + ": not a regular file");
  std::string text(kPidfileLimit + 1, '\0');
  const ssize_t got = ::read(file.get(), text.data(), text.size());
  if (got < 0) return fail(from_errno(errno, path));
  text.resize(static_cast<std::size_t>(got));
  const auto pid = parse_pidfile(text);
  if (!pid) return fail(Errc::not_found, path + ": not a number");
  return Pidfile{*pid, info.st_mtim.tv_sec * kSecond + info.st_mtim.tv_nsec};
}

// A process that is younger than the file has a used number.
bool was_there(std::uint64_t start_time, std::int64_t written) {
  const std::int64_t ticks = ::sysconf(_SC_CLK_TCK);
  const std::int64_t booted = now_of(CLOCK_REALTIME) - now_of(CLOCK_BOOTTIME);
  const std::int64_t started = booted + static_cast<std::int64_t>(start_time) * (kSecond / ticks);
  return started <= written + kGrain;
}

Result<Sandbox> adopted(const SandboxPlaces& places, const SandboxSpec& spec, pid_t pid) {
  Sandbox sandbox(spec);
  auto taken = sandbox.adopt(places.proc_root, pid);
  if (taken) return sandbox;
  Error error = std::move(taken.error());
  error.detail = "process " + std::to_string(pid) + ": " + error.detail;
  return fail(std::move(error));
}

Result<Sandbox> find_by_pidfile(const SandboxPlaces& places, const SandboxSpec& spec) {
  const auto file = read_pidfile(spec.value);
  if (!file) return fail(file.error());
  auto sandbox = adopted(places, spec, file->pid);
  if (sandbox && !was_there(sandbox->start_time(), file->written))
    return fail(Errc::not_found, spec.value + ": process " + std::to_string(file->pid) +
                                     " is younger than the file");
  if (sandbox) sandbox->set_named_at(file->written);
  return sandbox;
}

bool is_below(std::string_view path, std::string_view cgroup) {
  if (cgroup == "/") return true;
  return path.starts_with(cgroup) && (path.size() == cgroup.size() || path[cgroup.size()] == '/');
}

// Numbers of the processes in the cgroup and those below it. Those without a number here are 0.
void collect(int at, const std::string& path, int depth, std::size_t& cgroups,
             std::vector<pid_t>& pids) {
  const auto directory = open_directory(at, path);
  if (!directory || cgroups == kCgroups) return;
  ++cgroups;
  (void)read_lines(directory->get(), "cgroup.procs", kProcsLimit, [&](std::string_view line) {
    if (const auto pid = parse_pid(line)) pids.push_back(*pid);
  });
  if (depth == kDepth) return;
  (void)list_directory(directory->get(), ".", [&](int inner, const char* name) {
    collect(inner, name, depth + 1, cgroups, pids);
  });
}

// The hierarchies, that of version 2 first: "." where the root is one itself.
std::vector<std::string> hierarchies(int root) {
  if (read_file(root, "cgroup.controllers", kSmallFile)) return {"."};
  std::vector<std::string> names;
  (void)list_directory(root, ".", [&](int, const char* name) { names.emplace_back(name); });
  const auto rank = [](const std::string& name) {
    return name == "unified" ? 0 : name == "systemd" ? 1 : 2;
  };
  std::sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return rank(a) != rank(b) ? rank(a) < rank(b) : a < b;
  });
  return names;
}

Result<Sandbox> find_by_cgroup(const SandboxPlaces& places, const SandboxSpec& spec) {
  const auto root = open_directory(AT_FDCWD, places.cgroup_root);
  if (!root) return fail(root.error());
  std::optional<Candidate> oldest;
  for (const std::string& hierarchy : hierarchies(root->get())) {
    std::vector<pid_t> pids;
    std::size_t cgroups = 0;
    collect(root->get(), hierarchy + spec.value, 0, cgroups, pids);
    for (const pid_t pid : pids)
      if (const auto one = candidate(places.proc_root, pid); one && (!oldest || *one < *oldest))
        oldest = one;
    if (oldest) break;
  }
  if (!oldest) return fail(Errc::not_found, "no process in " + spec.value);
  auto sandbox = adopted(places, spec, oldest->pid);
  if (!sandbox) return sandbox;
  const auto text = read_file(sandbox->directory(), "cgroup", kCgroupLimit);
  bool inside = false;
  if (text)
    for_each_cgroup_line(
        *text, [&](const CgroupLine& line) { inside |= is_below(line.path, spec.value); });
  if (!inside) return fail(Errc::not_found, "process " + std::to_string(oldest->pid) + " left it");
  return sandbox;
}

// The outermost container of the first hierarchy that names one.
struct ContainerCgroup {
  std::string id;
  std::string cgroup;  // hierarchy and path
  friend bool operator==(const ContainerCgroup&, const ContainerCgroup&) = default;
};

std::optional<ContainerCgroup> container_of(int at, const std::string& path) {
  const auto text = read_file(at, path, kCgroupLimit);
  std::optional<ContainerCgroup> place;
  if (!text) return place;
  for_each_cgroup_line(*text, [&](const CgroupLine& line) {
    if (place) return;
    const auto containers = containers_in(line.path);
    if (containers.empty()) return;
    place = ContainerCgroup{std::string(containers.front().id),
                            std::string(line.controllers) + ":" +
                                std::string(line.path.substr(0, containers.front().end))};
  });
  return place;
}

Result<Sandbox> find_by_container(const SandboxPlaces& places, const SandboxSpec& spec) {
  std::optional<Candidate> oldest;
  std::optional<ContainerCgroup> place;
  bool several = false;
  const auto listed = list_directory(places.proc_root, ".", [&](int proc, const char* name) {
    const auto pid = parse_pid(name);
    if (!pid) return;
    auto here = container_of(proc, std::string(name) + "/cgroup");
    if (!here || !here->id.starts_with(spec.value)) return;
    const auto one = candidate(places.proc_root, *pid);
    if (!one) return;
    several |= place && !(*place == *here);
    place = std::move(here);
    if (!oldest || *one < *oldest) oldest = one;
  });
  if (!listed) return fail(listed.error());
  if (several) return fail(Errc::not_found, "several containers, or cgroups, have that name");
  if (!oldest) return fail(Errc::not_found, "no process's cgroup has that name");
  auto sandbox = adopted(places, spec, oldest->pid);
  if (sandbox && container_of(sandbox->directory(), "cgroup") != place)
    return fail(Errc::not_found, "process " + std::to_string(oldest->pid) + " left it");
  return sandbox;
}

bool is_id(const std::string& text) {
  return text.size() >= kShortestId && text.size() <= 64 &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool is_cgroup(const std::string& path) {
  return path.starts_with('/') && (path == "/" || !path.ends_with('/')) &&
         (path + "/").find("/../") == std::string::npos &&
         (path + "/").find("/./") == std::string::npos && path.find("//") == std::string::npos;
}

}  // namespace

Result<void> check(const SandboxSpec& spec) {
  switch (spec.kind) {
    case SandboxSpec::Kind::pid:
      if (spec.pid > 0) return {};
      return fail(Errc::bad_config, "pid: not a process number");
    case SandboxSpec::Kind::pidfile:
      if (spec.value.starts_with('/')) return {};
      return fail(Errc::bad_config, "pidfile: not an absolute path");
    case SandboxSpec::Kind::cgroup:
      if (is_cgroup(spec.value)) return {};
      return fail(Errc::bad_config, "cgroup: not a path below the hierarchy's root");
    case SandboxSpec::Kind::container:
      if (is_id(spec.value)) return {};
      return fail(Errc::bad_config, "container: not 12 to 64 lower-case hexadecimal digits");
  }
  return fail(Errc::bad_config, "unknown kind");
}

Result<Sandbox> find_sandbox(const SandboxPlaces& places, const SandboxSpec& spec) {
  switch (spec.kind) {
    case SandboxSpec::Kind::pid: return Sandbox::open(places.proc_root, spec.pid);
    case SandboxSpec::Kind::pidfile: return find_by_pidfile(places, spec);
    case SandboxSpec::Kind::cgroup: return find_by_cgroup(places, spec);
    case SandboxSpec::Kind::container: return find_by_container(places, spec);
  }
  return fail(Errc::bad_config, "unknown kind");
}

}  // namespace warder::identity
