#include "identity/file_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <chrono>
#include <functional>

#include "net/error.h"

namespace warder::identity {
namespace {

// A file system's clock moves every 10 ms at least (CONFIG_HZ); a few of these.
constexpr std::int64_t kFresh = 100'000'000;

std::int64_t nanoseconds(const statx_timestamp& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

std::size_t FileStateHash::operator()(const FileState& state) const {
  return std::hash<std::uint64_t>{}(state.id.inode ^ (state.id.device << 40U) ^
                                    static_cast<std::uint64_t>(state.changed));
}

Result<FileState> file_state(int at, const char* path, int flags, const char* what) {
  struct statx info {};
  if (::statx(at, path, flags | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &info) != 0)
    return fail(from_errno(errno, what));
  return FileState{{makedev(info.stx_dev_major, info.stx_dev_minor), info.stx_ino},
                   info.stx_size,
                   nanoseconds(info.stx_mtime),
                   nanoseconds(info.stx_ctime),
                   S_ISREG(info.stx_mode),
                   S_ISLNK(info.stx_mode)};
}

bool changed_just_now(const FileState& state) {
  const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::system_clock::now().time_since_epoch());
  return state.changed > now.count() - kFresh;
}

}  // namespace warder::identity
