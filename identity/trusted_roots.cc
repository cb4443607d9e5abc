#include "identity/trusted_roots.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

// Linux 6.11; include/uapi/linux/nsfs.h.
#ifndef NS_GET_TGID_FROM_PIDNS
#define NS_GET_TGID_FROM_PIDNS _IOR(NSIO, 0x7, int)
#endif

namespace warder::identity {
namespace {

constexpr std::size_t kSpaceLimit = 64;
constexpr std::size_t kParentLimit = 64;

std::uint64_t namespace_of(int process, const std::string& kind) {
  const auto target = read_link(process, "ns/" + kind);
  return target ? parse_inode_link(*target, kind).value_or(0) : 0;
}

net::UniqueFd open_namespace(int process, const char* path) {
  return net::UniqueFd(::openat(process, path, O_RDONLY | O_CLOEXEC));
}

// ioctl_ns(2): 0 when that can't be told. EPERM is an owner that is not below ours, but it may be
// beside it as well as above.
std::uint64_t owner_of(int space) {
  const net::UniqueFd owner(::ioctl(space, NS_GET_USERNS));
  struct stat info {};
  if (!owner || ::fstat(owner.get(), &info) != 0) return 0;
  return info.st_ino;
}

// setns(2): a thread that shares its root directory with others may not change it, so one of its
// own goes there. /proc/<pid>/root would do only for a process that has never called chroot(2).
net::UniqueFd root_of_mount_namespace(int space) {
  int root = -1;
  try {
    std::thread([space, &root] {
      if (::unshare(CLONE_FS) == 0 && ::setns(space, CLONE_NEWNS) == 0)
        root = ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    }).join();
  } catch (const std::system_error&) {
    return {};  // RLIMIT_NPROC, or the limit of a control group
  }
  return net::UniqueFd(root);
}

}  // namespace

TrustedRoots::TrustedRoots(int proc_root, const std::vector<Sandbox>& sandboxes, Effort* effort)
    : proc_root_(proc_root), sandboxes_(sandboxes), effort_(effort), spaces_(kSpaceLimit) {
  if (auto root = open_directory(proc_root, "self/root")) own_root_ = std::move(*root);
  if (const auto self = open_directory(proc_root, "self"))
    own_user_namespace_ = namespace_of(self->get(), "user");
}

bool TrustedRoots::knows_user_namespace(std::uint64_t inode) const {
  if (inode == own_user_namespace_) return true;
  return std::any_of(sandboxes_.begin(), sandboxes_.end(), [inode](const Sandbox& sandbox) {
    return sandbox.user_namespace() == inode && !sandbox.ended();
  });
}

std::vector<int> TrustedRoots::of(pid_t pid, std::span<const Scope> scopes) {
  const auto any = [&](Scope::Kind kind) {
    return std::any_of(scopes.begin(), scopes.end(),
                       [kind](const Scope& scope) { return scope.kind == kind; });
  };
  const bool discovered = any(Scope::Kind::discovered);
  const bool only_named = discovered || any(Scope::Kind::pid);
  std::vector<int> roots;
  for (const Sandbox& sandbox : sandboxes_) {
    const bool named = std::any_of(scopes.begin(), scopes.end(), [&](const Scope& scope) {
      return scope.kind == Scope::Kind::pid && scope.pid == sandbox.pid();
    });
    if ((only_named && !named) || sandbox.root() < 0 || sandbox.ended()) continue;
    roots.push_back(sandbox.root());
  }
  if (discovered)
    if (const int root = discovered_root(pid); root >= 0) roots.push_back(root);
  if (own_root_) roots.push_back(own_root_.get());
  return roots;
}

int TrustedRoots::discovered_root(pid_t pid) {
  const auto process = open_directory(proc_root_, std::to_string(pid));
  if (!process) return -1;
  const Space* const space = space_of(process->get());
  if (space == nullptr) return -1;
  if (space->root) return space->root.get();
  // Where the mount namespace can't be entered, what init has for its root will do for its own
  // mount namespace: the kernel's text of a path is always of that one's root.
  const bool shared =
      space->mount_namespace != 0 && namespace_of(process->get(), "mnt") == space->mount_namespace;
  return shared ? space->init.root() : -1;
}

TrustedRoots::Space* TrustedRoots::space_of(int process) {
  const std::uint64_t inode = namespace_of(process, "pid");
  if (inode == 0) return nullptr;
  if (Space* const known = spaces_.find(inode))
    if (!known->init.ended()) return known;
  if (!may_wait(effort_)) return nullptr;
  auto opened = open_space(process, inode);
  return opened ? &spaces_.put(inode, std::move(*opened)) : nullptr;
}

// Whoever owns a namespace can mount what it likes in it, or be PID 1 there.
std::optional<TrustedRoots::Space> TrustedRoots::open_space(int process,
                                                            std::uint64_t inode) const {
  net::UniqueFd space = open_namespace(process, "ns/pid");
  if (!space || !is_own_user_namespace(owner_of(space.get()))) return std::nullopt;
  const pid_t pid = find_init(process, space.get(), inode);
  if (pid == 0) return std::nullopt;
  auto init = Sandbox::open(proc_root_, pid);
  if (!init) return std::nullopt;
  const net::UniqueFd mounts = open_namespace(init->directory(), "ns/mnt");
  if (!mounts || !is_own_user_namespace(owner_of(mounts.get()))) return std::nullopt;
  const std::uint64_t mount_namespace = namespace_of(init->directory(), "mnt");
  net::UniqueFd root = root_of_mount_namespace(mounts.get());
  return Space{std::move(space), std::move(*init), std::move(root), mount_namespace};
}

bool TrustedRoots::is_init(pid_t pid, std::uint64_t inode) const {
  const auto process = open_directory(proc_root_, std::to_string(pid));
  if (!process || namespace_of(process->get(), "pid") != inode) return false;
  const auto text = read_file(process->get(), "status", kStatusLimit);
  const auto status = text ? parse_status(*text) : std::nullopt;
  return status && !status->numbers.empty() && status->numbers.back() == 1;
}

pid_t TrustedRoots::find_init(int process, int space, std::uint64_t inode) const {
  const int told = ::ioctl(space, NS_GET_TGID_FROM_PIDNS, 1);
  if (told > 0 && is_init(told, inode)) return told;
  // Up the parents: a process that has joined the namespace from outside has none in it.
  auto text = read_file(process, "stat", 8192);
  for (std::size_t step = 0; text && step < kParentLimit; ++step) {
    const auto stat = parse_stat(*text);
    if (!stat || stat->parent == 0) return 0;
    if (is_init(stat->parent, inode)) return stat->parent;
    text = read_file(proc_root_, std::to_string(stat->parent) + "/stat", 8192);
  }
  return 0;
}

}  // namespace warder::identity
