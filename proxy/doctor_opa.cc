#include <fmt/format.h>
#include <httplib.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/config_values.h"
#include "proxy/doctor_checks.h"

namespace warder::proxy::doctor {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kClose =
    "let OPA listen on a unix socket that only Warder's user may open, or start it with "
    "--authentication=token --authorization=basic and a system.authz policy";

// The status of a request that would write a policy if it were one; nullopt: nobody answered. The
// module doesn't parse, so that OPA refuses it with 400 after it has let it pass, and 401 or 403
// before.
std::optional<int> try_writing(const opa::Address& address) {
  const std::string host = address.name.empty() ? address.endpoint.address.text() : address.name;
  const bool v6 = address.name.empty() && address.endpoint.address.is_v6();
  httplib::Client client(fmt::format("{}://{}{}{}:{}", address.tls ? "https" : "http",
                                     v6 ? "[" : "", host, v6 ? "]" : "", address.endpoint.port));
  // Whoever wants to write would not ask who it is that lets him.
  client.enable_server_certificate_verification(false);
  client.set_connection_timeout(1s);
  client.set_read_timeout(2s);
  client.set_write_timeout(2s);
  client.set_tcp_nodelay(true);
  // What cpp-httplib would say of an IPv6 address is not a host (RFC 3986 section 3.2.2).
  client.set_default_headers({{"Host", address.host_header}});
  const httplib::Result answer =
      client.Put("/v1/policies/warder-doctor", "this is no module", "text/plain");
  return answer ? std::optional(answer->status) : std::nullopt;
}

void judge_for(const Config& config, const opa::Address& address, const SandboxProcess& sandbox,
               Findings& out) {
  std::optional<int> status;
  const Result<void> tried =
      inside_network(config.identity.proc, sandbox.pid, [&] { status = try_writing(address); });
  if (!tried && sandbox.shares_network) status = 400;
  const bool out_of_reach = tried ? !status : is_loopback(address.endpoint.address) && !status;
  if (out_of_reach) {
    out.push_back({Health::ok,
                   "opa_write",
                   fmt::format("{} can't reach OPA at {}", sandbox.name, config.opa.url),
                   {}});
  } else if (status) {
    out.push_back({Health::failed, "opa_write",
                   fmt::format("{} reaches OPA at {} and can rewrite the policy", sandbox.name,
                               config.opa.url),
                   std::string(kClose)});
  } else {
    out.push_back({Health::warning, "opa_write",
                   fmt::format("whether {} reaches OPA at {} could not be tried: {}", sandbox.name,
                               config.opa.url, describe(tried.error())),
                   std::string(kClose)});
  }
}

void check_tcp(const Config& config, const opa::Address& address,
               const std::vector<SandboxProcess>& sandboxes, Findings& out) {
  const std::optional<int> status = try_writing(address);
  if (!status) return;  // said already
  if (*status == 401 || *status == 403) {
    out.push_back({Health::ok,
                   "opa_write",
                   fmt::format("OPA asks for authorization to change policies ({})", *status),
                   {}});
    return;
  }
  if (*status != 400) {
    out.push_back({Health::warning, "opa_write",
                   fmt::format("an attempt to change a policy was answered with {}, neither 400 "
                               "(open) nor 401 or 403 (closed)",
                               *status),
                   std::string(kClose)});
    return;
  }
  for (const SandboxProcess& sandbox : sandboxes) judge_for(config, address, sandbox, out);
  if (!sandboxes.empty()) return;
  const bool far = config.identity.discover && is_loopback(address.endpoint.address);
  out.push_back(
      {far ? Health::warning : Health::failed, "opa_write",
       fmt::format("every program that reaches {} can rewrite the policy", config.opa.url),
       std::string(kClose)});
}

bool member(const std::vector<gid_t>& groups, gid_t group) {
  return std::find(groups.begin(), groups.end(), group) != groups.end();
}

// Whether `bit` (of 0007) of the file's mode holds for that process (path_resolution(7)).
bool may(const SandboxProcess& process, const struct stat& file, mode_t bit) {
  if (process.uid == 0) return true;
  if (file.st_uid == process.uid) return (file.st_mode & bit << 6) != 0;
  if (member(process.groups, file.st_gid)) return (file.st_mode & bit << 3) != 0;
  return (file.st_mode & bit) != 0;
}

// Whether it can connect to the socket at `path` below `root`: write permission on it, and search
// permission on each directory on the way (unix(7)).
bool may_connect(const SandboxProcess& process, const std::string& root, const std::string& path) {
  struct stat file {};
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
       slash = path.find('/', slash + 1)) {
    if (::stat((root + path.substr(0, slash)).c_str(), &file) != 0) return false;
    if (!may(process, file, S_IXOTH)) return false;
  }
  return ::stat((root + path).c_str(), &file) == 0 && may(process, file, S_IWOTH);
}

void check_unix(const Config& config, const std::string& path,
                const std::vector<SandboxProcess>& sandboxes, Findings& out) {
  constexpr std::string_view kMode =
      "give the socket to Warder's user (opa run --unix-socket-perm=600, a directory of mode "
      "0700), "
      "and don't mount its directory into a sandbox";
  struct stat socket {};
  if (::stat(path.c_str(), &socket) != 0) return;  // said already
  for (const SandboxProcess& sandbox : sandboxes) {
    const std::string root = fmt::format("{}/{}/root", config.identity.proc, sandbox.pid);
    struct stat seen {};
    const bool visible = ::stat((root + path).c_str(), &seen) == 0 &&
                         seen.st_dev == socket.st_dev && seen.st_ino == socket.st_ino;
    const bool open = visible && may_connect(sandbox, root, path);
    out.push_back({open ? Health::failed : Health::ok, "opa_write",
                   fmt::format("{} (uid {}) {} OPA's socket {}{}", sandbox.name, sandbox.uid,
                               open      ? "can open"
                               : visible ? "may not open"
                                         : "doesn't see",
                               path, open ? " and rewrite the policy" : ""),
                   open ? std::string(kMode) : std::string()});
  }
  if (!sandboxes.empty()) return;
  // Nobody in particular: a user who is not the owner and in no group of it.
  const SandboxProcess anybody{"", 0, static_cast<uid_t>(-2), {}, false};
  const bool open = may_connect(anybody, "", path);
  out.push_back(
      {open ? Health::failed : Health::ok, "opa_write",
       open ? fmt::format("every user can open OPA's socket {} and rewrite the policy", path)
            : fmt::format("OPA's socket {} is open to uid {} and gid {} only", path, socket.st_uid,
                          socket.st_gid),
       open ? std::string(kMode) : std::string()});
}

}  // namespace

void check_write_api(const Config& config, const opa::Address& address,
                     const std::vector<SandboxProcess>& sandboxes, Findings& out) {
  if (address.kind == opa::Address::Kind::unix_socket)
    check_unix(config, address.socket_path, sandboxes, out);
  else
    check_tcp(config, address, sandboxes, out);
}

}  // namespace warder::proxy::doctor
