#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/stat.h>

#include <cerrno>
#include <charconv>
#include <string_view>
#include <thread>
#include <utility>

#include "identity/proc_fs.h"
#include "net/unique_fd.h"
#include "proxy/doctor_checks.h"
#include "proxy/signals_blocked.h"

namespace warder::proxy::doctor {
namespace {

// The numbers of a line of /proc/<pid>/status (proc(5)): "Groups:\t4 24".
std::vector<id_t> numbers_of(std::string_view status, std::string_view key) {
  std::vector<id_t> numbers;
  const std::size_t at = status.find(key);
  if (at == std::string_view::npos) return numbers;
  std::string_view line = status.substr(at + key.size());
  line = line.substr(0, line.find('\n'));
  while (!line.empty()) {
    id_t number = 0;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    if (error == std::errc{}) numbers.push_back(number);
    line.remove_prefix(error == std::errc{} ? static_cast<std::size_t>(stop - line.data()) : 1);
  }
  return numbers;
}

SandboxProcess process_of(const std::string& proc, const identity::Scope& scope) {
  const std::string directory = fmt::format("{}/{}", proc, scope.pid);
  SandboxProcess process{scope.name(), scope.pid, 0, {}, false};
  if (const auto status = identity::read_file(AT_FDCWD, directory + "/status", kSmallFile)) {
    // Both lines are real, effective, saved, file system's.
    if (const auto uids = numbers_of(*status, "\nUid:"); uids.size() == 4) process.uid = uids[1];
    if (const auto gids = numbers_of(*status, "\nGid:"); gids.size() == 4)
      process.groups.push_back(gids[1]);
    for (const id_t group : numbers_of(*status, "\nGroups:")) process.groups.push_back(group);
  }
  const auto own = identity::read_link(AT_FDCWD, proc + "/self/ns/net");
  const auto its = identity::read_link(AT_FDCWD, directory + "/ns/net");
  process.shares_network = own && its && *own == *its;
  return process;
}

void check_network(const std::string& proc, const SandboxProcess& sandbox, Findings& out) {
  const std::string who =
      fmt::format("{} is process {} (uid {})", sandbox.name, sandbox.pid, sandbox.uid);
  if (sandbox.shares_network) {
    out.push_back(
        {Health::warning, "sandbox",
         who + " and is in Warder's own network namespace: it can go round the proxy",
         "give it a network of its own without a way out (compose: an internal network)"});
    return;
  }
  const Result<void> entered = inside_network(proc, sandbox.pid, [] {});
  if (entered) {
    out.push_back({Health::ok, "sandbox", who + "; its network namespace was entered", {}});
    return;
  }
  // Opening asks for what ptrace(2) asks for, setns(2) for more.
  const bool seen =
      identity::read_link(AT_FDCWD, fmt::format("{}/{}/ns/net", proc, sandbox.pid)).has_value();
  out.push_back({Health::warning, "sandbox",
                 fmt::format("{}; its network namespace can't be entered: {}", who,
                             describe(entered.error())),
                 seen ? grant("SYS_ADMIN") : grant("SYS_PTRACE") + " and CAP_SYS_ADMIN"});
}

void check_root(const std::string& proc, const SandboxProcess& sandbox, Findings& out) {
  const std::string root = fmt::format("{}/{}/root", proc, sandbox.pid);
  struct stat status {};
  if (::stat((root + "/.").c_str(), &status) == 0) {
    out.push_back({Health::ok, "sandbox", sandbox.name + ": its root can be looked into", {}});
    return;
  }
  out.push_back({Health::failed, "sandbox",
                 fmt::format("{}: its root can't be looked into ({}): no program in it has a name",
                             sandbox.name, describe(from_errno(errno, root))),
                 grant("SYS_PTRACE")});
}

}  // namespace

Result<void> inside_network(const std::string& proc, pid_t pid, const std::function<void()>& work) {
  const std::string path = fmt::format("{}/{}/ns/net", proc, pid);
  const net::UniqueFd space(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!space) return fail(from_errno(errno, path));
  int refused = 0;
  const SignalsBlocked blocked;
  std::thread([&] {
    if (::setns(space.get(), CLONE_NEWNET) != 0) {
      refused = errno;
      return;
    }
    work();
  }).join();
  if (refused != 0) return fail(from_errno(refused, "setns"));
  return {};
}

std::vector<SandboxProcess> check_sandboxes(const std::string& proc,
                                            const std::vector<identity::ScopeResult>& searched,
                                            Findings& out) {
  std::vector<SandboxProcess> found;
  bool named = false;
  for (const identity::ScopeResult& result : searched) {
    if (result.scope.kind != identity::Scope::Kind::pid) continue;
    named = true;
    if (result.scope.pid == 0) {
      out.push_back({Health::warning, "sandbox",
                     fmt::format("{}: {}", result.scope.name(), result.outcome),
                     "start it; Warder finds it when it is there. It must be among the processes "
                     "Warder sees"});
      continue;
    }
    found.push_back(process_of(proc, result.scope));
    check_network(proc, found.back(), out);
    check_root(proc, found.back(), out);
  }
  if (!named) out.push_back({Health::ok, "sandbox", "none is named in identity.sandboxes", {}});
  return found;
}

}  // namespace warder::proxy::doctor
