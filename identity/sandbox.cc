#include "identity/sandbox.h"

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

constexpr std::size_t kStatLimit = 8192;

}  // namespace

Result<Sandbox> Sandbox::open(int proc_root, pid_t pid) {
  auto directory = open_directory(proc_root, std::to_string(pid));
  if (!directory) return fail(std::move(directory.error()));
  auto text = read_file(directory->get(), "stat", kStatLimit);
  if (!text) return fail(std::move(text.error()));
  const auto stat = parse_stat(*text);
  if (!stat) return fail(Errc::system, "stat: not of the form of proc(5)");
  net::UniqueFd root;
  if (auto opened = open_directory(directory->get(), "root")) root = std::move(*opened);
  return Sandbox(pid, stat->start_time, std::move(*directory), std::move(root));
}

std::optional<std::string> Sandbox::ended() const {
  const auto text = read_file(directory_.get(), "stat", kStatLimit);
  if (!text && text.error().code != Errc::not_found)
    return "not readable: " + describe(text.error());
  const auto stat = text ? parse_stat(*text) : std::nullopt;
  // A zombie has left its namespaces already.
  if (!stat || stat->state == 'Z' || stat->state == 'X') return "the process has ended";
  if (stat->start_time != start_time_) return "its number belongs to another process now";
  return std::nullopt;
}

}  // namespace warder::identity
