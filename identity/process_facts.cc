#include "identity/process_facts.h"

#include <algorithm>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

constexpr std::size_t kAncestorLimit = 32;
constexpr std::size_t kStatLimit = 8192;
constexpr std::size_t kStatusLimit = std::size_t{64} * 1024;  // Groups: may be long
constexpr std::string_view kDeleted = " (deleted)";

Result<ProcStat> read_stat(int process) {
  const auto text = read_file(process, "stat", kStatLimit);
  if (!text) return fail(text.error());
  const auto stat = parse_stat(*text);
  if (!stat) return fail(Errc::system, "stat: not of the form of proc(5)");
  return *stat;
}

std::string thread_path(const Holder& holder) { return "task/" + std::to_string(holder.thread); }

// The image is the thread's to tell: the leader's exe is gone once it has exited.
Result<Vitals> read_vitals(int process, const Holder& holder, ProcStat& stat) {
  auto read = read_stat(process);
  if (!read) return fail(std::move(read.error()));
  stat = *read;
  auto image = file_id(process, thread_path(holder) + "/exe");
  if (!image) return fail(std::move(image.error()));
  return Vitals{stat.start_time, *image};
}

bool exists_in(const std::vector<int>& roots, const std::string& path) {
  return std::any_of(roots.begin(), roots.end(),
                     [&](int root) { return file_id_in_root(root, path).has_value(); });
}

bool is_in(const std::vector<int>& roots, const std::string& path, const FileId& image) {
  return std::any_of(roots.begin(), roots.end(), [&](int root) {
    const auto found = file_id_in_root(root, path);
    return found && *found == image;
  });
}

}  // namespace

ProcProcessFacts::ProcProcessFacts(int proc_root, const std::vector<Sandbox>& sandboxes)
    : proc_root_(proc_root), sandboxes_(sandboxes) {
  if (auto root = open_directory(proc_root, "self/root")) own_root_ = std::move(*root);
}

Result<Vitals> ProcProcessFacts::vitals(const Holder& holder) {
  auto process = open_directory(proc_root_, std::to_string(holder.pid));
  if (!process) return fail(std::move(process.error()));
  ProcStat stat;
  return read_vitals(process->get(), holder, stat);
}

Result<Process> ProcProcessFacts::read(const Holder& holder) {
  auto directory = open_directory(proc_root_, std::to_string(holder.pid));
  if (!directory) return fail(std::move(directory.error()));
  ProcStat stat;
  auto vitals = read_vitals(directory->get(), holder, stat);
  if (!vitals) return fail(std::move(vitals.error()));
  auto path = read_link(directory->get(), thread_path(holder) + "/exe");
  if (!path) return fail(std::move(path.error()));
  auto status = read_file(directory->get(), thread_path(holder) + "/status", kStatusLimit);
  if (!status) return fail(std::move(status.error()));
  const auto parsed = parse_status(*status);
  if (!parsed) return fail(Errc::system, "status: not of the form of proc(5)");
  Process process;
  process.pid = holder.pid;
  process.uid = parsed->uids[1];
  process.gid = parsed->gids[1];
  process.start_time = vitals->start_time;
  process.image = vitals->image;
  process.path = std::move(*path);
  read_ancestors(stat.parent, process);
  return process;
}

void ProcProcessFacts::read_ancestors(pid_t parent, Process& process) const {
  std::uint64_t youngest = process.start_time;
  std::vector<pid_t> seen{process.pid};
  for (std::size_t depth = 0; parent != 0; ++depth) {
    if (depth == kAncestorLimit) {
      process.ancestors_complete = false;
      return;
    }
    const auto directory = open_directory(proc_root_, std::to_string(parent));
    const auto stat = directory ? read_stat(directory->get()) : fail(directory.error());
    // A parent is never younger than its child: that is another process with a used number.
    const bool repeated = std::find(seen.begin(), seen.end(), parent) != seen.end();
    if (!stat || stat->start_time > youngest || repeated) {
      process.ancestors_complete = false;
      return;
    }
    auto path = read_link(directory->get(), "exe");
    if (path)
      process.ancestors.push_back(std::move(*path));
    else
      process.ancestors_complete = false;
    youngest = stat->start_time;
    seen.push_back(parent);
    parent = stat->parent;
  }
}

std::vector<int> ProcProcessFacts::trusted_roots(std::span<const Scope> scopes) const {
  const bool any_pid = std::any_of(scopes.begin(), scopes.end(), [](const Scope& scope) {
    return scope.kind == Scope::Kind::pid;
  });
  std::vector<int> roots;
  for (const Sandbox& sandbox : sandboxes_) {
    const bool named = std::any_of(scopes.begin(), scopes.end(), [&](const Scope& scope) {
      return scope.kind == Scope::Kind::pid && scope.pid == sandbox.pid();
    });
    if ((any_pid && !named) || sandbox.ended()) continue;
    if (sandbox.root() >= 0) roots.push_back(sandbox.root());
  }
  if (own_root_) roots.push_back(own_root_.get());
  return roots;
}

void ProcProcessFacts::give_name(Process& process, std::span<const Scope> scopes) {
  const auto roots = trusted_roots(scopes);
  const std::string& path = process.path;
  // fs/d_path.c appends it to the name of a file that was removed; a file may be called so too.
  if (path.size() > kDeleted.size() && path.ends_with(kDeleted) && !exists_in(roots, path)) {
    process.deleted = true;
    process.path.resize(path.size() - kDeleted.size());
  }
  if (process.path.starts_with('/') && is_in(roots, process.path, process.image))
    process.binary = process.path;
}

}  // namespace warder::identity
