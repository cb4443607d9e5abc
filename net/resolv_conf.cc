#include "net/resolv_conf.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <utility>

#include "net/unique_fd.h"

namespace warder::net {
namespace {

constexpr std::size_t kMaxServers = 3;  // MAXNS of resolv.conf(5)
constexpr std::size_t kMaxFile = std::size_t{64} * 1024;
constexpr std::string_view kSpace = " \t\r\f\v";
constexpr std::string_view kEndsWord = " \t\r\f\v#;";

// Up to `end`, which goes too.
std::string_view take_until(std::string_view& text, char end) {
  const std::string_view taken = text.substr(0, text.find(end));
  text.remove_prefix(std::min(text.size(), taken.size() + 1));
  return taken;
}

// Empty at the end of the line, or where a comment begins.
std::string_view take_word(std::string_view& line) {
  line.remove_prefix(std::min(line.size(), line.find_first_not_of(kSpace)));
  const std::string_view word = line.substr(0, line.find_first_of(kEndsWord));
  line.remove_prefix(word.size());
  return word;
}

void add_server(std::string_view text, std::vector<IpAddress>& servers) {
  const auto address = IpAddress::parse(text);
  if (!address || servers.size() == kMaxServers) return;
  if (std::find(servers.begin(), servers.end(), *address) == servers.end()) {
    servers.push_back(*address);
  }
}

Result<std::string> read_text(const std::string& path) {
  // A pipe would be waited for.
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat file {};
  if (!fd || ::fstat(fd.get(), &file) != 0) return fail(from_errno(errno, path));
  if (!S_ISREG(file.st_mode)) return fail(Errc::bad_config, path + " is not a regular file");
  std::string text(kMaxFile + 1, '\0');
  std::size_t length = 0;
  while (length < text.size()) {
    const ssize_t count = ::read(fd.get(), text.data() + length, text.size() - length);
    if (count < 0) return fail(from_errno(errno, path));
    if (count == 0) break;
    length += static_cast<std::size_t>(count);
  }
  if (length > kMaxFile) return fail(Errc::bad_config, path + " is too large");
  text.resize(length);
  return text;
}

}  // namespace

ResolvConf parse_resolv_conf(std::string_view text) {
  ResolvConf found;
  while (!text.empty()) {
    std::string_view line = take_until(text, '\n');
    // "The keyword must start the line" (resolv.conf(5)); c-ares and musl let it be indented.
    const std::string_view keyword = take_word(line);
    if (keyword == "nameserver") {
      add_server(take_word(line), found.servers);
    } else if (keyword == "options") {
      for (auto option = take_word(line); !option.empty(); option = take_word(line)) {
        if (option == "rotate") found.rotate = true;
      }
    }
  }
  return found;
}

Result<ResolvConf> read_resolv_conf(const std::string& path) {
  const Result<std::string> text = read_text(path);
  if (!text) return fail(text.error());
  ResolvConf found = parse_resolv_conf(*text);
  if (found.servers.empty()) return fail(Errc::not_found, path + " names no server");
  return found;
}

}  // namespace warder::net
