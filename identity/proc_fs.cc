#include "identity/proc_fs.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace warder::identity {
namespace {

constexpr std::size_t kLongestLine = 4096;
// proc(5): a path longer than a page is not given at all (ENAMETOOLONG).
constexpr std::size_t kLongestLink = 4096;

tl::unexpected<Error> failed(const std::string& what) { return fail(from_errno(errno, what)); }

Result<net::UniqueFd> open_at(int at, const std::string& path, int flags) {
  int fd = -1;
  do fd = ::openat(at, path.c_str(), flags | O_CLOEXEC);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return failed(path);
  return net::UniqueFd(fd);
}

Result<std::size_t> read_fd(int fd, char* into, std::size_t size, const std::string& what) {
  ssize_t got = -1;
  do got = ::read(fd, into, size);
  while (got < 0 && errno == EINTR);
  if (got < 0) return failed(what);
  return static_cast<std::size_t>(got);
}

Result<FileId> file_id_of(int at, const char* path, int flags, const std::string& what) {
  struct statx info {};
  if (::statx(at, path, flags | AT_STATX_DONT_SYNC, STATX_INO, &info) != 0) return failed(what);
  return FileId{makedev(info.stx_dev_major, info.stx_dev_minor), info.stx_ino};
}

// Hands on the whole lines of `text` and returns what is left after the last.
std::string_view take_lines(std::string_view text,
                            const std::function<void(std::string_view)>& visit) {
  for (;;) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return text;
    visit(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
}

}  // namespace

Result<net::UniqueFd> open_directory(int at, const std::string& path) {
  return open_at(at, path, O_PATH | O_DIRECTORY);
}

Result<std::string> read_file(int at, const std::string& path, std::size_t limit) {
  auto fd = open_at(at, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) return fail(std::move(fd.error()));
  std::string text;
  std::array<char, 4096> chunk;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  for (;;) {
    auto got = read_fd(fd->get(), chunk.data(), chunk.size(), path);
    if (!got) return fail(std::move(got.error()));
    if (*got == 0) return text;
    if (text.size() + *got > limit) return fail(Errc::overloaded, path + ": too large");
    text.append(chunk.data(), *got);
  }
}

Result<std::string> read_beginning(int at, const std::string& path, std::size_t limit) {
  auto fd = open_at(at, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) return fail(std::move(fd.error()));
  std::string text(limit, '\0');
  std::size_t kept = 0;
  while (kept < limit) {
    auto got = read_fd(fd->get(), text.data() + kept, limit - kept, path);
    if (!got) return fail(std::move(got.error()));
    if (*got == 0) break;
    kept += *got;
  }
  text.resize(kept);
  return text;
}

Result<void> read_lines(int at, const std::string& path, std::size_t limit,
                        const std::function<void(std::string_view)>& visit) {
  auto fd = open_at(at, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) return fail(std::move(fd.error()));
  std::string buffer(std::size_t{64} * 1024 + kLongestLine, '\0');
  std::size_t kept = 0;
  std::size_t total = 0;
  for (;;) {
    auto got = read_fd(fd->get(), buffer.data() + kept, buffer.size() - kept, path);
    if (!got) return fail(std::move(got.error()));
    if (*got == 0) break;
    total += *got;
    if (total > limit) return fail(Errc::overloaded, path + ": too large");
    const std::string_view rest = take_lines(std::string_view(buffer.data(), kept + *got), visit);
    if (rest.size() > kLongestLine) return fail(Errc::overloaded, path + ": line too long");
    kept = rest.size();
    std::memmove(buffer.data(), rest.data(), kept);
  }
  if (kept > 0) return fail(Errc::system, path + ": the last line is not whole");
  return {};
}

Result<std::string> read_link(int at, const std::string& path) {
  std::array<char, kLongestLink + 1> target;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const ssize_t size = ::readlinkat(at, path.c_str(), target.data(), target.size());
  if (size < 0) return failed(path);
  if (static_cast<std::size_t>(size) > kLongestLink)
    return fail(Errc::overloaded, path + ": target too long");
  return std::string(target.data(), static_cast<std::size_t>(size));
}

Result<void> list_directory(int at, const std::string& path,
                            const std::function<void(int directory, const char*)>& visit) {
  auto fd = open_at(at, path, O_RDONLY | O_DIRECTORY);
  if (!fd) return fail(std::move(fd.error()));
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::fdopendir(fd->get()), &::closedir);
  if (!directory) return failed(path);
  const int number = fd->release();
  for (;;) {
    errno = 0;
    const dirent* const entry = ::readdir(directory.get());
    if (entry == nullptr) break;
    const std::string_view entry_name = static_cast<const char*>(entry->d_name);
    if (entry_name != "." && entry_name != "..") visit(number, entry_name.data());
  }
  if (errno != 0) return failed(path);
  return {};
}

Result<FileId> file_id(int at, const std::string& path) {
  return file_id_of(at, path.c_str(), 0, path);
}

Result<net::UniqueFd> open_in_root(int root, const std::string& path, PathLookup lookup,
                                   Links links) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  if (links == Links::last_kept) how.flags |= O_NOFOLLOW;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  if (links != Links::followed) how.resolve |= RESOLVE_NO_SYMLINKS;
  if (lookup == PathLookup::cached) how.resolve |= RESOLVE_CACHED;
  // openat2(2): EAGAIN is a rename somewhere on the system during the look-up; to be tried again.
  for (int attempt = 0;; ++attempt) {
    net::UniqueFd fd(
        static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how)));
    if (fd) return fd;
    const bool again = errno == EINTR || (errno == EAGAIN && lookup == PathLookup::whole);
    if (!again || attempt == 16) return failed(path);
  }
}

Result<FileId> file_id_in_root(int root, const std::string& path, PathLookup lookup, Links links) {
  const auto fd = open_in_root(root, path, lookup, links);
  if (!fd) return fail(fd.error());
  return file_id_of(fd->get(), "", AT_EMPTY_PATH, path);
}

}  // namespace warder::identity
