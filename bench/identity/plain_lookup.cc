#include "plain_lookup.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

#include "net/unique_fd.h"

namespace warder::bench {
namespace {

constexpr std::size_t kReadSize = std::size_t{256} * 1024;

// proc_net_tcp: the address as the machine's 32-bit number, the port as a plain one.
std::string hexadecimal(const net::Endpoint& endpoint) {
  std::uint32_t word = 0;
  std::memcpy(&word, endpoint.address.bytes(), sizeof word);
  char text[16];
  std::snprintf(text, sizeof text, "%08X:%04X", word, endpoint.port);
  return text;
}

// The tenth field of a row.
std::optional<std::string> inode_of(std::string_view row) {
  std::size_t at = 0;
  for (int field = 0; field < 9; ++field) {
    at = row.find_first_not_of(' ', at);
    if (at == std::string_view::npos) return std::nullopt;
    at = row.find(' ', at);
    if (at == std::string_view::npos) return std::nullopt;
  }
  at = row.find_first_not_of(' ', at);
  if (at == std::string_view::npos) return std::nullopt;
  return std::string(row.substr(at, row.find(' ', at) - at));
}

using Directory = std::unique_ptr<DIR, int (*)(DIR*)>;

Directory open_directory(int at, const char* path) {
  const int fd = ::openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return {fd < 0 ? nullptr : ::fdopendir(fd), ::closedir};
}

bool is_number(const char* name) { return *name >= '0' && *name <= '9'; }

bool holds(DIR* descriptors, const std::string& target) {
  bool found = false;
  while (const dirent* const entry = ::readdir(descriptors)) {
    if (!is_number(entry->d_name)) continue;
    char link[64];
    const ssize_t length = ::readlinkat(::dirfd(descriptors), entry->d_name, link, sizeof link);
    found |= length > 0 && std::string_view(link, static_cast<std::size_t>(length)) == target;
  }
  return found;
}

}  // namespace

PlainLookup::PlainLookup() : buffer_(kReadSize) {}

std::optional<PlainAnswer> PlainLookup::look(const net::Endpoint& client,
                                             const net::Endpoint& proxy) {
  const std::string from = hexadecimal(client);
  const std::string to = hexadecimal(proxy);
  // A mapped address in the other table.
  const std::string prefix = "0000000000000000FFFF0000";
  auto inode = find_inode("/proc/net/tcp", from + " " + to);
  const auto inode6 = find_inode("/proc/net/tcp6", prefix + from + " " + prefix + to);
  if (!inode) inode = inode6;
  if (!inode) return std::nullopt;
  PlainAnswer answer{find_holders("socket:[" + *inode + "]"), {}};
  if (answer.holders.empty()) return answer;
  char path[4096];
  const std::string link = "/proc/" + std::to_string(answer.holders.front()) + "/exe";
  const ssize_t length = ::readlink(link.c_str(), path, sizeof path);
  if (length > 0) answer.path.assign(path, static_cast<std::size_t>(length));
  return answer;
}

// To the end of the table: what is looked for may be in it more than once.
std::optional<std::string> PlainLookup::find_inode(const char* table, const std::string& tuple) {
  const net::UniqueFd file(::open(table, O_RDONLY | O_CLOEXEC));
  std::optional<std::string> inode;
  std::size_t kept = 0;
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer_.data() + kept, buffer_.size() - kept);
    if (got <= 0) return inode;
    std::string_view text(buffer_.data(), kept + static_cast<std::size_t>(got));
    for (std::size_t end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
      const std::string_view row = text.substr(0, end);
      const std::size_t colon = row.find(':');
      if (colon != std::string_view::npos && row.substr(colon).starts_with(": ") &&
          row.substr(colon + 2).starts_with(tuple))
        inode = inode_of(row);
      text.remove_prefix(end + 1);
    }
    kept = text.size();
    std::memmove(buffer_.data(), text.data(), kept);
  }
}

std::vector<pid_t> PlainLookup::find_holders(const std::string& target) const {
  std::vector<pid_t> holders;
  const Directory proc = open_directory(AT_FDCWD, "/proc");
  if (!proc) return holders;
  while (const dirent* const entry = ::readdir(proc.get())) {
    if (!is_number(entry->d_name)) continue;
    const std::string path = std::string(entry->d_name) + "/fd";
    const Directory descriptors = open_directory(::dirfd(proc.get()), path.c_str());
    if (descriptors && holds(descriptors.get(), target))
      holders.push_back(std::atoi(entry->d_name));
  }
  return holders;
}

}  // namespace warder::bench
