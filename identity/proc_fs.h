#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "identity/identity.h"
#include "net/result.h"
#include "net/unique_fd.h"

namespace warder::identity {

// Reads below an open directory of a procfs tree. Every size is bounded. Nothing follows a link but
// what says so. A process that ended is Errc::not_found (ENOENT or ESRCH), one that may not be
// looked into Errc::not_permitted.

// Limits for read_file(): a file of a few lines, as stat, fdinfo and cgroup.controllers are;
// status, which lists up to 65,536 groups; cgroup.
inline constexpr std::size_t kSmallFile = 8192;
inline constexpr std::size_t kStatusLimit = std::size_t{2} * 1024 * 1024;
inline constexpr std::size_t kCgroupLimit = std::size_t{128} * 1024;

// Directories by path (O_PATH; following links: `root` is one).
[[nodiscard]] Result<net::UniqueFd> open_directory(int at, const std::string& path);

// A whole file of at most `limit` bytes. Errors: overloaded when it is larger.
[[nodiscard]] Result<std::string> read_file(int at, const std::string& path, std::size_t limit);

// Calls `visit` for each line, without its newline, of a file of any size up to `limit` bytes; a
// line longer than 4 KiB is an error, and so is a last line without one. Does not hold the file in
// memory.
[[nodiscard]] Result<void> read_lines(int at, const std::string& path, std::size_t limit,
                                      const std::function<void(std::string_view)>& visit);

// A link's target, as it stands.
[[nodiscard]] Result<std::string> read_link(int at, const std::string& path);

// Calls `visit(directory, name)` for each entry, without "." and "..". `directory` is good during
// the call only.
[[nodiscard]] Result<void> list_directory(
    int at, const std::string& path, const std::function<void(int directory, const char*)>& visit);

// Of the file itself, links followed. The file system is not asked anew for what it has cached
// (AT_STATX_DONT_SYNC): the owner of a FUSE mount must not be able to hold us up.
[[nodiscard]] Result<FileId> file_id(int at, const std::string& path);

// How far a path is followed: a file system may make us wait for an answer, the one of a FUSE mount
// for ever, or only what the kernel itself has cached is looked at, and anything else is an error
// (EAGAIN, or EINVAL before Linux 5.12).
enum class PathLookup { whole, cached };

// What becomes of symbolic links in a path. The kernel's name of a running image has none; people
// write paths that have.
enum class Links {
  refused,    // ELOOP
  last_kept,  // the last component may be one, and is what is found; others are ELOOP
  followed,   // each of them below the same root
};

// The file that `path` names below `root`, as a process with that root would see it.
[[nodiscard]] Result<FileId> file_id_in_root(int root, const std::string& path,
                                             PathLookup lookup = PathLookup::whole,
                                             Links links = Links::refused);
// The same, opened (O_PATH).
[[nodiscard]] Result<net::UniqueFd> open_in_root(int root, const std::string& path,
                                                 PathLookup lookup = PathLookup::whole,
                                                 Links links = Links::refused);

// At most the first `limit` bytes of a file. What goes beyond is left out.
[[nodiscard]] Result<std::string> read_beginning(int at, const std::string& path,
                                                 std::size_t limit);

}  // namespace warder::identity
