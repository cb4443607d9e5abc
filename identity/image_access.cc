#include "identity/image_access.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <optional>

#include "identity/proc_fs.h"
#include "net/unique_fd.h"

namespace warder::identity {
namespace {

constexpr std::uint64_t bit(unsigned capability) { return std::uint64_t{1} << capability; }

bool is_owner(uid_t owner, const ProcStatus& credentials) {
  return std::find(credentials.uids.begin(), credentials.uids.end(), owner) !=
         credentials.uids.end();
}

bool is_member(gid_t group, const ProcStatus& credentials) {
  const auto has = [group](const auto& list) {
    return std::find(list.begin(), list.end(), group) != list.end();
  };
  return has(credentials.gids) || has(credentials.groups);
}

struct Looked {
  Permissions permissions;
  bool read_only = false;
};

std::optional<Looked> look_at(int fd) {
  struct stat info {};
  struct statvfs mount {};
  if (::fstat(fd, &info) != 0 || ::fstatvfs(fd, &mount) != 0) return std::nullopt;
  return Looked{{info.st_mode, info.st_uid, info.st_gid}, (mount.f_flag & ST_RDONLY) != 0};
}

}  // namespace

bool may_write(const Permissions& file, const ProcStatus& credentials, bool capable) {
  if (capable && (credentials.capabilities & (bit(CAP_DAC_OVERRIDE) | bit(CAP_FOWNER))) != 0)
    return true;
  if (is_owner(file.uid, credentials)) return true;
  // path_resolution(7): the group's bits count for its members, the others' for everybody else.
  if (is_member(file.gid, credentials)) return (file.mode & S_IWGRP) != 0;
  return (file.mode & S_IWOTH) != 0;
}

bool may_replace(const Permissions& directory, const Permissions& entry,
                 const ProcStatus& credentials, bool capable) {
  if (!may_write(directory, credentials, capable)) return false;
  if ((directory.mode & S_ISVTX) == 0) return true;
  if (capable && (credentials.capabilities & bit(CAP_FOWNER)) != 0) return true;
  return is_owner(directory.uid, credentials) || is_owner(entry.uid, credentials);
}

namespace {

bool may_change(int root, const std::string& path, const ProcStatus& credentials, bool capable,
                Links links) {
  std::optional<Looked> above;
  for (std::size_t end = 1;;) {
    const auto fd = open_in_root(root, end == 1 ? "/" : path.substr(0, end), PathLookup::whole,
                                 end >= path.size() ? links : Links::refused);
    const auto here = fd ? look_at(fd->get()) : std::nullopt;
    if (!here) return true;
    if (above && !above->read_only &&
        may_replace(above->permissions, here->permissions, credentials, capable))
      return true;
    // Nobody writes to a link, whatever its mode says (symlink(7)).
    if (end >= path.size())
      return !here->read_only && !S_ISLNK(here->permissions.mode) &&
             may_write(here->permissions, credentials, capable);
    above = here;
    end = std::min(path.find('/', end + 1), path.size());
  }
}

}  // namespace

bool may_change_path(int root, const std::string& path, const ProcStatus& credentials,
                     bool capable) {
  return may_change(root, path, credentials, capable, Links::refused);
}

bool may_change_link(int root, const std::string& path, const ProcStatus& credentials,
                     bool capable) {
  return may_change(root, path, credentials, capable, Links::last_kept);
}

bool may_change_file(int at, const std::string& path, const ProcStatus& credentials, bool capable) {
  const net::UniqueFd fd(::openat(at, path.c_str(), O_PATH | O_CLOEXEC));
  const auto here = fd ? look_at(fd.get()) : std::nullopt;
  return !here || (!here->read_only && may_write(here->permissions, credentials, capable));
}

}  // namespace warder::identity
