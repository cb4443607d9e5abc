#include "proxy/policy_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/statfs.h>
#include <sys/types.h>

#include <charconv>
#include <cstddef>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "identity/proc_fs.h"

namespace warder::proxy {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kStatusLimit = std::size_t{2} << 20;  // 65,536 groups

Writer one_user(uid_t uid, gid_t gid) {
  Writer writer;
  writer.name = fmt::format("user {}", uid);
  writer.credentials.uids.fill(uid);
  writer.credentials.gids.fill(gid);
  return writer;
}

}  // namespace

Result<Writer> parse_user(const std::string& text) {
  const auto number = [](std::string_view digits, unsigned& out) {
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), out);
    return parsed.ec == std::errc{} && parsed.ptr == digits.data() + digits.size();
  };
  const std::size_t colon = text.find(':');
  uid_t uid = 0;
  gid_t gid = 0;
  const std::string_view user = std::string_view(text).substr(0, colon);
  const std::string_view group =
      colon == std::string::npos ? user : std::string_view(text).substr(colon + 1);
  if (!number(user, uid) || !number(group, gid))
    return fail(Errc::bad_config, "--user: must be UID or UID:GID, in digits");
  return one_user(uid, gid);
}

Writer anybody() {
  // setresuid(2): -1 is nobody's number, so that no file is its own.
  Writer writer = one_user(static_cast<uid_t>(-1), static_cast<gid_t>(-1));
  writer.name = "anybody";
  writer.note =
      "of who may change these programs only what anybody may was looked at: --user UID[:GID] "
      "looks at a user of the sandbox";
  return writer;
}

Result<std::optional<Writer>> process_with_root(const std::string& directory) {
  fs::path root = fs::path(directory).lexically_normal();
  if (!root.has_filename()) root = root.parent_path();
  std::error_code error;
  // Follows /proc/self.
  const fs::path process = fs::canonical(root.parent_path(), error);
  struct statfs system {};
  if (error || root.filename() != "root" ||
      !identity::parse_pid(process.filename().string()).has_value() ||
      ::statfs(process.c_str(), &system) != 0 || system.f_type != PROC_SUPER_MAGIC)
    return std::optional<Writer>();
  const std::string path = process / "status";
  const auto text = identity::read_file(AT_FDCWD, path, kStatusLimit);
  if (!text) return fail(Errc::bad_config, fmt::format("{}: {}", path, describe(text.error())));
  auto status = identity::parse_status(*text);
  if (!status) return fail(Errc::bad_config, path + ": has another form than proc(5) says");
  Writer writer = one_user(status->uids[0], status->gids[0]);
  writer.credentials = std::move(*status);
  writer.capable = true;
  writer.note = fmt::format(
      "who may change these programs was looked at for process {}, {} with its groups and "
      "capabilities: --user UID[:GID] looks at another user",
      process.filename().string(), writer.name);
  return std::optional<Writer>(std::move(writer));
}

}  // namespace warder::proxy
