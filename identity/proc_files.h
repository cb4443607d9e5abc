#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/address.h"

namespace warder::identity {

// The texts of procfs, parsed. Pure: nothing here reads a file. What does not have the form that
// proc(5) gives is nullopt, never a guess: a process chooses its own name, and so part of the text.

// One row of /proc/net/tcp or tcp6. `inode` is 0 for a socket that belongs to no process any more.
struct SocketRow {
  net::Endpoint local;
  net::Endpoint remote;
  unsigned state = 0;  // include/net/tcp_states.h
  std::uint64_t inode = 0;
};
inline constexpr unsigned kTcpSynSent = 2;
inline constexpr unsigned kTcpListen = 10;

// The family is told by the length of the addresses. The heading is not a row.
[[nodiscard]] std::optional<SocketRow> parse_socket_row(std::string_view line);

// Of /proc/<pid>/stat.
struct ProcStat {
  char state = '?';
  pid_t parent = 0;
  std::uint32_t flags = 0;  // PF_* of include/linux/sched.h
  long threads = 0;         // NOLINT(google-runtime-int): the field is a %ld
  std::uint64_t start_time = 0;
};
[[nodiscard]] std::optional<ProcStat> parse_stat(std::string_view text);

// Of /proc/<pid>/status. Lines that a kernel may leave out are as if they said nothing.
struct ProcStatus {
  std::array<uid_t, 4> uids{};  // real, effective, saved, file system
  std::array<gid_t, 4> gids{};  // likewise
  std::vector<gid_t> groups;
  pid_t tracer = 0;                // 0: nobody that can be seen from here
  std::uint64_t capabilities = 0;  // permitted: what it may make effective at any time
  std::vector<pid_t> numbers;      // in each PID namespace, the innermost last
};
[[nodiscard]] std::optional<ProcStatus> parse_status(std::string_view text);

// TracerPid alone, of a thread's status; nullopt when there is no such line.
[[nodiscard]] std::optional<pid_t> parse_status_tracer(std::string_view text);

// The process that a pidfd stands for, of /proc/self/fdinfo/<fd>; nullopt when it has no number in
// that tree.
[[nodiscard]] std::optional<pid_t> parse_fdinfo_pid(std::string_view text);

// The number that a pidfile holds: digits and at most one newline, nothing else.
[[nodiscard]] std::optional<pid_t> parse_pidfile(std::string_view text);

// The effective capabilities, of /proc/<pid>/status.
[[nodiscard]] std::optional<std::uint64_t> parse_status_capabilities(std::string_view text);

// 4711 of "socket:[4711]"; with kind "net", of "net:[4711]".
[[nodiscard]] std::optional<std::uint64_t> parse_inode_link(std::string_view target,
                                                            std::string_view kind);

// A directory's name that is a process or thread id: decimal, no sign, no leading zero.
[[nodiscard]] std::optional<pid_t> parse_pid(std::string_view name);

}  // namespace warder::identity
