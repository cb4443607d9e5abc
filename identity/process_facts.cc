#include "identity/process_facts.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "identity/cgroup_path.h"
#include "identity/image_access.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

constexpr std::size_t kKnownLimit = 4096;
constexpr std::size_t kAncestorPathLimit = 4096;
constexpr std::chrono::seconds kFactsAge{1};
constexpr std::size_t kAncestorLimit = 32;
constexpr std::size_t kThreadLimit = 4096;
constexpr std::size_t kCommandLineLimit = 4096;
constexpr std::string_view kDeletedImage = " (deleted)";

Result<ProcStat> read_stat(int process) {
  const auto text = read_file(process, "stat", kSmallFile);
  if (!text) return fail(text.error());
  const auto stat = parse_stat(*text);
  if (!stat) return fail(Errc::system, "stat: not of the form of proc(5)");
  return *stat;
}

std::string thread_path(pid_t thread) { return "task/" + std::to_string(thread); }

// The image is the thread's to tell: the leader's exe is gone once it has exited.
pid_t telling_thread(const Holder& holder) {
  return holder.thread != 0 ? holder.thread : holder.pid;
}

// start_boottime counts nanoseconds; procfs shows it in clock ticks (fs/proc/array.c).
bool started_then(const KernelTask& task, std::uint64_t start_time) {
  constexpr std::uint64_t kNanoseconds = 1'000'000'000;
  static const auto kTicks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return task.start_ns / (kNanoseconds / kTicks) == start_time;
}

// proc(5): arguments end with a NUL each. A process may have put anything there.
std::string shown_arguments(std::string text) {
  while (!text.empty() && text.back() == '\0') text.pop_back();
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text;
}

// ptrace(2) works on single threads. Too many to look at count as traced.
Result<bool> any_thread_traced(int process) {
  bool traced = false;
  std::size_t seen = 0;
  std::optional<Error> broken;
  const auto listed = list_directory(process, "task", [&](int tasks, const char* name) {
    if (traced || broken || !parse_pid(name)) return;
    traced = ++seen > kThreadLimit;
    const auto text = read_file(tasks, std::string(name) + "/status", kStatusLimit);
    if (!text && text.error().code == Errc::not_found) return;
    const auto tracer = text ? parse_status_tracer(*text) : std::nullopt;
    if (!text)
      broken = text.error();
    else
      traced |= tracer.value_or(0) != 0;
  });
  if (!listed) return fail(listed.error());
  if (broken) return fail(*broken);
  return traced;
}

}  // namespace

std::size_t ProcProcessFacts::TaskHash::operator()(const KernelTask& task) const {
  return std::hash<std::uint64_t>{}(task.start_ns ^ (task.executions << 48U) ^
                                    static_cast<std::uint64_t>(task.pid));
}

ProcProcessFacts::ProcProcessFacts(int proc_root, const std::vector<Sandbox>& sandboxes,
                                   FactsOptions options, Effort* effort)
    : proc_root_(proc_root),
      options_(options),
      effort_(effort),
      roots_(proc_root, sandboxes, effort),
      known_(kKnownLimit),
      ancestor_paths_(kAncestorPathLimit) {
  if (options.policy_paths != nullptr) names_.emplace(*options.policy_paths, effort);
}

Result<Vitals> ProcProcessFacts::vitals(const Holder& holder) {
  if (holder.kernel)
    if (const Known* const known = known_.find(holder.pid))
      if (known->task == holder.kernel->task)
        return Vitals{known->facts.start_time, known->facts.image};
  if (!may_wait(effort_)) return left_undone();
  const auto process = open_directory(proc_root_, std::to_string(holder.pid));
  if (!process) return fail(process.error());
  const auto stat = read_stat(process->get());
  if (!stat) return fail(stat.error());
  const auto image = file_id(process->get(), thread_path(telling_thread(holder)) + "/exe");
  if (!image) return fail(image.error());
  return Vitals{stat->start_time, *image};
}

Result<Process> ProcProcessFacts::read(const Holder& holder) {
  auto known = look_up(holder);
  if (!known) return fail(std::move(known.error()));
  Process process = (*known)->facts;
  if (holder.kernel) {
    const KernelFacts& kernel = holder.kernel->facts;
    process.uid = kernel.uid;
    process.gid = kernel.gid;
    process.executions = holder.kernel->task.executions;
    process.traced = kernel.traced;
    (*known)->user_namespace = kernel.user_namespace;  // it may have gone into another one
    name_ancestors(kernel, process);
  } else {
    read_ancestors(**known, process);
  }
  process.image_settable =
      roots_.user_namespaces() && !roots_.knows_user_namespace((*known)->user_namespace);
  return process;
}

Result<ProcProcessFacts::Known*> ProcProcessFacts::look_up(const Holder& holder) {
  const auto now = Clock::now();
  Known* known = holder.kernel ? known_.find(holder.pid) : nullptr;
  const bool same = known != nullptr && known->task == holder.kernel->task;
  if (same && now - known->refreshed <= kFactsAge) return known;
  if (!may_wait(effort_)) return left_undone();
  if (!same) {
    auto read = read_all(holder);
    if (!read) return fail(std::move(read.error()));
    known = &known_.put(holder.pid, std::move(*read));
    known->refreshed = now;
  } else {
    const auto process = open_directory(proc_root_, std::to_string(holder.pid));
    if (!process) return fail(process.error());
    auto refreshed = refresh(process->get(), *known);
    if (!refreshed) return fail(std::move(refreshed.error()));
    known->refreshed = now;
  }
  return known;
}

Result<ProcProcessFacts::Known> ProcProcessFacts::read_all(const Holder& holder) const {
  const auto process = open_directory(proc_root_, std::to_string(holder.pid));
  if (!process) return fail(process.error());
  const auto stat = read_stat(process->get());
  if (!stat) return fail(stat.error());
  Known known;
  known.thread = telling_thread(holder);
  const std::string thread = thread_path(known.thread);
  auto image = file_id(process->get(), thread + "/exe");
  if (!image) return fail(std::move(image.error()));
  auto path = read_link(process->get(), thread + "/exe");
  if (!path) return fail(std::move(path.error()));
  auto refreshed = refresh(process->get(), known);
  if (!refreshed) return fail(std::move(refreshed.error()));
  if (holder.kernel && !started_then(holder.kernel->task, stat->start_time))
    return fail(Errc::not_found, "its number belongs to another process now");
  if (holder.kernel) {
    known.task = holder.kernel->task;
  } else if (auto read = read_unasked(process->get(), known); !read) {
    return fail(std::move(read.error()));
  }
  known.parent = stat->parent;
  known.facts.pid = holder.pid;
  known.facts.start_time = stat->start_time;
  known.facts.image = *image;
  known.facts.path = std::move(*path);
  return known;
}

// What the kernel would have told.
Result<void> ProcProcessFacts::read_unasked(int process, Known& known) const {
  const auto traced = any_thread_traced(process);
  if (!traced) return fail(traced.error());
  known.facts.traced = *traced;
  if (!roots_.user_namespaces()) return {};
  const auto space = read_link(process, thread_path(known.thread) + "/ns/user");
  if (!space) return fail(space.error());
  known.user_namespace = parse_inode_link(*space, "user").value_or(0);
  return {};
}

Result<void> ProcProcessFacts::refresh(int process, Known& known) const {
  const std::string thread = thread_path(known.thread);
  const auto text = read_file(process, thread + "/status", kStatusLimit);
  if (!text) return fail(text.error());
  auto status = parse_status(*text);
  if (!status) return fail(Errc::system, "status: not of the form of proc(5)");
  known.credentials = std::move(*status);
  known.facts.uid = known.credentials.uids[1];
  known.facts.gid = known.credentials.gids[1];
  const auto cgroup = read_file(process, thread + "/cgroup", kCgroupLimit);
  CgroupFacts place = cgroup ? parse_cgroup_facts(*cgroup) : CgroupFacts{};
  known.facts.container = std::move(place.container);
  known.facts.pod = std::move(place.pod);
  if (!options_.command_line) return {};
  auto arguments = read_beginning(process, thread + "/cmdline", kCommandLineLimit);
  if (!arguments) return fail(std::move(arguments.error()));
  known.facts.command_line = shown_arguments(std::move(*arguments));
  return {};
}

void ProcProcessFacts::read_ancestors(const Known& known, Process& process) const {
  const auto& numbers = known.credentials.numbers;
  process.ancestors_complete = !numbers.empty() && numbers.back() == 1;
  std::uint64_t youngest = process.start_time;
  std::vector<pid_t> seen{process.pid};
  pid_t parent = known.parent;
  while (parent != 0 && seen.size() <= kAncestorLimit) {
    const auto directory = open_directory(proc_root_, std::to_string(parent));
    const auto stat = directory ? read_stat(directory->get()) : fail(directory.error());
    // A parent is never younger than its child: that is another process with a used number.
    const bool repeated = std::find(seen.begin(), seen.end(), parent) != seen.end();
    if (!stat || stat->start_time > youngest || repeated) return;
    if (auto path = read_link(directory->get(), "exe"))
      process.ancestors.push_back(trusts_paths_of(directory->get()) ? std::move(*path)
                                                                    : std::string(kForeignPath));
    youngest = stat->start_time;
    seen.push_back(parent);
    parent = stat->parent;
  }
}

void ProcProcessFacts::name_ancestors(const KernelFacts& kernel, Process& process) {
  process.ancestors_complete = kernel.ancestors_complete;
  process.ancestors.reserve(kernel.ancestors.size());
  for (const KernelTask& task : kernel.ancestors) {
    if (const auto& path = path_of(task))
      process.ancestors.push_back(*path);
    else
      process.ancestors_complete = false;
  }
}

const std::optional<std::string>& ProcProcessFacts::path_of(const KernelTask& task) {
  const auto now = Clock::now();
  if (const AncestorPath* const known = ancestor_paths_.find(task))
    if (known->path || now - known->read <= kFactsAge) return known->path;
  static const std::optional<std::string> kUnknown;
  if (!may_wait(effort_)) return kUnknown;
  return ancestor_paths_.put(task, {read_path_of(task), now}).path;
}

std::optional<std::string> ProcProcessFacts::read_path_of(const KernelTask& task) const {
  const auto directory = open_directory(proc_root_, std::to_string(task.pid));
  if (!directory) return std::nullopt;
  auto path = read_link(directory->get(), "exe");
  const auto stat = read_stat(directory->get());
  if (!path || !stat || !started_then(task, stat->start_time)) return std::nullopt;
  return trusts_paths_of(directory->get()) ? std::move(*path) : std::string(kForeignPath);
}

// Whoever makes a user namespace may mount in one of its own, and so have any file at any path
// (user_namespaces(7)). Whatever gives it such an image makes another KernelTask of it.
bool ProcProcessFacts::trusts_paths_of(int process) const {
  if (!roots_.user_namespaces()) return true;
  const auto space = read_link(process, "ns/user");
  return space && roots_.knows_user_namespace(parse_inode_link(*space, "user").value_or(0));
}

// The file of that name below `root`. At once a name that the kernel has not cached is left undone.
std::optional<FileId> ProcProcessFacts::file_at(int root, const std::string& path) {
  const bool cached = at_once(effort_);
  const auto there = file_id_in_root(root, path, cached ? PathLookup::cached : PathLookup::whole);
  if (there) return *there;
  const int error = there.error().sys_errno;
  if (cached && (error == EAGAIN || error == EINVAL)) (void)may_wait(effort_);
  return std::nullopt;
}

bool ProcProcessFacts::exists_in(const std::vector<int>& roots, const std::string& path) {
  return std::any_of(roots.begin(), roots.end(),
                     [&](int root) { return file_at(root, path).has_value(); });
}

// -1 when it is in none of them.
int ProcProcessFacts::root_with(const std::vector<int>& roots, const std::string& path,
                                const FileId& image) {
  if (!path.starts_with('/')) return -1;
  const auto found = std::find_if(roots.begin(), roots.end(),
                                  [&](int root) { return file_at(root, path) == image; });
  return found == roots.end() ? -1 : *found;
}

void ProcProcessFacts::give_name(Process& process, std::span<const Scope> scopes) {
  const auto roots = roots_.of(process.pid, scopes);
  Known* known = known_.find(process.pid);
  if (known != nullptr &&
      (known->facts.start_time != process.start_time || known->facts.image != process.image))
    known = nullptr;
  const int root = give_binary(process, roots, known);
  if (root < 0 || !names_) return;
  // The path without links: the kernel's own text, just looked up by give_binary().
  process.names = names_->of(root, process.image, &*process.binary);
  process.names_of = names_->generation();
}

// Under which root it is that; -1 where it has none.
int ProcProcessFacts::give_binary(Process& process, const std::vector<int>& roots, Known* known) {
  int root = root_with(roots, process.path, process.image);
  if (root < 0 && known != nullptr) {
    // The kernel's text follows the file when it is moved or removed.
    const std::string link =
        std::to_string(process.pid) + "/" + thread_path(known->thread) + "/exe";
    auto path = read_link(proc_root_, link);
    if (path && *path != process.path) {
      known->facts.path = process.path = std::move(*path);
      root = root_with(roots, process.path, process.image);
    }
  }
  if (root >= 0) process.binary = process.path;
  if (known != nullptr) process.image_writable = writable(process, root, *known);
  // fs/d_path.c appends it to the name of a file that was removed; a file may be called so too.
  const std::string& path = process.path;
  if (root >= 0 || path.size() <= kDeletedImage.size() || !path.ends_with(kDeletedImage))
    return root;
  if (exists_in(roots, path)) return root;
  process.deleted = true;
  process.path.resize(path.size() - kDeletedImage.size());
  root = root_with(roots, process.path, process.image);
  if (root >= 0) process.binary = process.path;
  return root;
}

bool ProcProcessFacts::writable(const Process& process, int root, Known& known) {
  const auto now = Clock::now();
  if (known.writable_read.time_since_epoch().count() != 0 &&
      known.writable_name == process.binary && now - known.writable_read <= kFactsAge)
    return known.facts.image_writable;
  if (!may_wait(effort_)) return true;
  // Capabilities in another user namespace count for the files of its users only; what those own
  // they may change anyway.
  const bool capable = !roots_.user_namespaces() || known.user_namespace == 0 ||
                       roots_.is_own_user_namespace(known.user_namespace);
  const std::string exe = std::to_string(process.pid) + "/" + thread_path(known.thread) + "/exe";
  known.facts.image_writable = root >= 0
                                   ? may_change_path(root, process.path, known.credentials, capable)
                                   : may_change_file(proc_root_, exe, known.credentials, capable);
  known.writable_name = process.binary;
  known.writable_read = now;
  return known.facts.image_writable;
}

}  // namespace warder::identity
