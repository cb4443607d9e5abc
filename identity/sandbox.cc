#include "identity/sandbox.h"

#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

Result<ProcStat> read_living_stat(int directory) {
  const auto text = read_file(directory, "stat", kSmallFile);
  if (!text) return fail(text.error());
  const auto stat = parse_stat(*text);
  if (!stat) return fail(Errc::system, "stat: not of the form of proc(5)");
  // A zombie has left its namespaces already.
  if (stat->state == 'Z' || stat->state == 'X') return fail(Errc::not_found, "it has ended");
  return *stat;
}

// pidfd_open(2) takes a number of our own PID namespace; the tree may be another's. What the tree
// itself says of the descriptor tells whether it is that process.
net::UniqueFd open_pidfd(int proc_root, pid_t pid) {
  net::UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return {};
  const auto info = read_file(proc_root, "self/fdinfo/" + std::to_string(fd.get()), kSmallFile);
  if (!info || parse_fdinfo_pid(*info) != pid) return {};
  return fd;
}

}  // namespace

std::string text(const SandboxSpec& spec) {
  switch (spec.kind) {
    case SandboxSpec::Kind::pid: return "pid:" + std::to_string(spec.pid);
    case SandboxSpec::Kind::pidfile: return "pidfile:" + spec.value;
    case SandboxSpec::Kind::cgroup: return "cgroup:" + spec.value;
    case SandboxSpec::Kind::container: return "container:" + spec.value;
  }
  return {};
}

Sandbox::Sandbox(SandboxSpec spec) : spec_(std::move(spec)) {}

Result<Sandbox> Sandbox::open(int proc_root, pid_t pid) {
  Sandbox sandbox({SandboxSpec::Kind::pid, pid, {}});
  auto adopted = sandbox.adopt(proc_root, pid);
  if (!adopted) return fail(std::move(adopted.error()));
  return sandbox;
}

Result<void> Sandbox::adopt(int proc_root, pid_t pid) {
  auto directory = open_directory(proc_root, std::to_string(pid));
  if (!directory) return fail(std::move(directory.error()));
  net::UniqueFd pidfd = open_pidfd(proc_root, pid);
  // Read after the pidfd was opened: what lives now is what both of them stand for.
  const auto stat = read_living_stat(directory->get());
  if (!stat) return fail(stat.error());
  net::UniqueFd root;
  if (auto opened = open_directory(directory->get(), "root")) root = std::move(*opened);
  const auto user = read_link(directory->get(), "ns/user");
  user_namespace_ = user ? parse_inode_link(*user, "user").value_or(0) : 0;
  pid_ = pid;
  start_time_ = stat->start_time;
  directory_ = std::move(*directory);
  root_ = std::move(root);
  pidfd_ = std::move(pidfd);
  return {};
}

Scope Sandbox::scope() const {
  Scope scope;
  scope.kind = Scope::Kind::pid;
  scope.pid = pid_;
  if (spec_.kind == SandboxSpec::Kind::pid)
    scope.pid = spec_.pid;
  else
    scope.source = text(spec_);
  return scope;
}

std::optional<std::string> Sandbox::ended() const {
  if (pid_ == 0) return missing_;
  if (pidfd_) {
    pollfd wait{pidfd_.get(), POLLIN, 0};
    if (::poll(&wait, 1, 0) == 0) return std::nullopt;
    return "the process has ended";
  }
  const auto stat = read_living_stat(directory_.get());
  if (!stat && stat.error().code == Errc::not_found) return "the process has ended";
  if (!stat) return "not readable: " + describe(stat.error());
  if (stat->start_time != start_time_) return "its number belongs to another process now";
  return std::nullopt;
}

}  // namespace warder::identity
