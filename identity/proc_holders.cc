#include "identity/proc_holders.h"

#include <linux/kcmp.h>
#include <linux/magic.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

constexpr std::uint32_t kKernelThread = 0x00200000;  // PF_KTHREAD, include/linux/sched.h
// Different descriptor tables of one process that a further thread is compared with.
constexpr std::size_t kComparedTables = 8;

bool share_descriptors(pid_t a, pid_t b) {
  return ::syscall(SYS_kcmp, a, b, KCMP_FILES, 0UL, 0UL) == 0;
}

// Kernel threads have no descriptors, and of a process that has ended none are left, but neither
// lets everybody see that in its directory.
bool has_no_descriptors(int process) {
  const auto text = read_file(process, "stat", 8192);
  if (!text) return text.error().code == Errc::not_found;
  const auto stat = parse_stat(*text);
  if (!stat) return false;
  return (stat->flags & kKernelThread) != 0 || (stat->state == 'Z' && stat->threads <= 1);
}

// Whether everything of the table could be read. ENOENT and ESRCH: closed or ended meanwhile.
bool read_descriptors(int thread, const std::unordered_set<std::uint64_t>& inodes,
                      std::unordered_set<std::uint64_t>& held) {
  bool complete = true;
  const auto listed = list_directory(thread, "fd", [&](int directory, const char* name) {
    if (!complete) return;  // what may not be read is the process, not the one descriptor
    const auto target = read_link(directory, name);
    if (!target) {
      complete &= target.error().code == Errc::not_found;
      return;
    }
    const auto inode = parse_inode_link(*target, "socket");
    if (inode && inodes.contains(*inode)) held.insert(*inode);
  });
  return complete && (listed || listed.error().code == Errc::not_found);
}

void add_unreadable(pid_t pid, HolderScan& scan) {
  ++scan.unreadable;
  if (scan.one_unreadable == 0) scan.one_unreadable = pid;
}

bool numbers_are_ours(int proc_root) {
  struct statfs info {};
  if (::fstatfs(proc_root, &info) != 0 || info.f_type != PROC_SUPER_MAGIC) return false;
  const auto self = read_link(proc_root, "self");
  return self && *self == std::to_string(::getpid());
}

// proc(5), hidepid=2: processes of others are not even listed. Then the first one isn't either.
bool processes_hidden(int proc_root) {
  struct statfs info {};
  if (::fstatfs(proc_root, &info) != 0 || info.f_type != PROC_SUPER_MAGIC) return false;
  return !open_directory(proc_root, "1");
}

std::optional<std::string> let_go(int proc_root, const FoundSocket& socket,
                                  const SocketHolders& before) {
  for (const Holder& holder : before.holders) {
    const std::string pid = std::to_string(holder.pid);
    const auto thread = open_directory(proc_root, pid + "/task/" + std::to_string(holder.thread));
    std::unordered_set<std::uint64_t> held;
    if (thread) (void)read_descriptors(thread->get(), {socket.inode}, held);
    if (!held.contains(socket.inode)) return "process " + pid + " let go of the socket";
  }
  return std::nullopt;
}

}  // namespace

ProcHolders::ProcHolders(int proc_root)
    : proc_root_(proc_root), own_numbers_(numbers_are_ours(proc_root)) {}

HolderScan ProcHolders::find(std::span<const FoundSocket> sockets) {
  HolderScan scan;
  std::unordered_set<std::uint64_t> inodes;
  for (const FoundSocket& socket : sockets) inodes.insert(socket.inode);
  if (inodes.empty()) return scan;
  const auto listed = list_directory(proc_root_, ".", [&](int proc, const char* name) {
    if (const auto pid = parse_pid(name)) walk_process(proc, *pid, inodes, scan);
  });
  if (!listed || processes_hidden(proc_root_)) ++scan.unreadable;
  for (auto& [inode, found] : scan.by_inode) std::sort(found.holders.begin(), found.holders.end());
  return scan;
}

void ProcHolders::walk_process(int proc, pid_t pid, const std::unordered_set<std::uint64_t>& inodes,
                               HolderScan& scan) const {
  const auto process = open_directory(proc, std::to_string(pid));
  if (!process) {
    if (process.error().code != Errc::not_found) add_unreadable(pid, scan);
    return;
  }
  bool complete = true;
  std::unordered_set<std::uint64_t> held;
  std::vector<pid_t> tables;  // threads whose table was read, each another table
  const auto listed = list_directory(process->get(), "task", [&](int tasks, const char* name) {
    const auto tid = parse_pid(name);
    if (!tid) return;
    if (own_numbers_ && std::any_of(tables.begin(), tables.end(),
                                    [&](pid_t other) { return share_descriptors(*tid, other); }))
      return;
    const auto thread = open_directory(tasks, name);
    if (!thread) {
      complete &= thread.error().code == Errc::not_found;
      return;
    }
    std::unordered_set<std::uint64_t> shown;
    complete &= read_descriptors(thread->get(), inodes, shown);
    if (tables.size() < kComparedTables) tables.push_back(*tid);
    for (const std::uint64_t inode : shown)
      if (held.insert(inode).second) scan.by_inode[inode].holders.push_back({pid, *tid, {}});
  });
  complete &= listed || listed.error().code == Errc::not_found;
  if (!complete && !has_no_descriptors(process->get())) add_unreadable(pid, scan);
}

std::vector<std::optional<std::string>> ProcHolders::changed(std::span<const Seen> before) {
  std::vector<std::optional<std::string>> outcomes;
  outcomes.reserve(before.size());
  for (const Seen& one : before) outcomes.push_back(let_go(proc_root_, one.socket, *one.who));
  return outcomes;
}

}  // namespace warder::identity
