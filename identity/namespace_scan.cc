#include "identity/namespace_scan.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {

std::optional<std::string> NamespaceScan::refresh() {
  using std::chrono::milliseconds;
  const auto now = std::chrono::steady_clock::now();
  if (looked_ && now - *looked_ < options_.interval) {
    const auto ago = std::chrono::duration_cast<milliseconds>(now - *looked_);
    return "not looked for new network namespaces: that was done " + std::to_string(ago.count()) +
           " ms ago";
  }
  looked_ = now;
  seen_.clear();
  too_many_ = false;
  const auto own = read_link(proc_root_, "self/ns/user");
  own_user_namespace_ = own ? parse_inode_link(*own, "user") : std::nullopt;
  std::vector<Entry> entries;
  const auto listed = list_directory(
      proc_root_, ".", [&](int directory, const char* name) { visit(directory, name, entries); });
  // Those that are gone are let go of only by a whole list.
  if (!listed)
    return "other network namespaces could not be looked for: " + describe(listed.error());
  entries_ = std::move(entries);
  if (too_many_)
    return "more than " + std::to_string(options_.most) +
           " network namespaces: the others were not searched";
  return std::nullopt;
}

void NamespaceScan::visit(int directory, const char* name, std::vector<Entry>& entries) {
  const auto pid = parse_pid(name);
  if (!pid) return;
  const auto link = read_link(directory, std::string(name) + "/ns/net");
  const auto number = link ? parse_inode_link(*link, "net") : std::nullopt;
  if (!number) return;
  const auto at = std::lower_bound(seen_.begin(), seen_.end(), *number);
  if (at != seen_.end() && *at == *number) return;
  auto process = open_directory(directory, name);
  if (!process) return;
  // The next process in it is tried where this one can't be looked into.
  if (!options_.any_owner && !is_owned_by_us(process->get())) return;
  // Asked again of the directory that is kept: the process may have gone into another since.
  const auto again = read_link(process->get(), "ns/net");
  if (!again || *again != *link) return;
  if (entries.size() == options_.most) {
    too_many_ = true;
    return;
  }
  seen_.insert(at, *number);
  entries.push_back({*number, *pid, std::move(*process)});
}

// ioctl_ns(2). EPERM: the owner is not ours or below ours, so we could not go in either.
bool NamespaceScan::is_owned_by_us(int directory) const {
  const net::UniqueFd space(::openat(directory, "ns/net", O_RDONLY | O_CLOEXEC));
  if (!space) return false;
  const net::UniqueFd owner(::ioctl(space.get(), NS_GET_USERNS));
  struct stat info {};
  return owner && ::fstat(owner.get(), &info) == 0 && own_user_namespace_ == info.st_ino;
}

}  // namespace warder::identity
