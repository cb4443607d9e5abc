#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"
#include "proxy/config_values.h"
#include "proxy/connection_limits.h"
#include "proxy/doctor_checks.h"

namespace warder::proxy::doctor {
namespace {

struct Capability {
  int number;
  std::string_view name;  // without "CAP_"
  std::string_view use;
};
constexpr std::array<Capability, 6> kCapabilities{{
    {CAP_SYS_PTRACE, "SYS_PTRACE", "looking into processes of other users"},
    {CAP_DAC_READ_SEARCH, "DAC_READ_SEARCH", "reading other users' programs and directories"},
    {CAP_SYS_ADMIN, "SYS_ADMIN", "entering network namespaces"},
    {CAP_SYS_CHROOT, "SYS_CHROOT",
     "naming programs in a mount namespace of their own in a discovered container"},
    {CAP_BPF, "BPF", "recording who connects, and counting references"},
    {CAP_PERFMON, "PERFMON", "recording who connects, and counting references"},
}};

std::optional<std::string> read_setting(const std::string& proc, const std::string& name) {
  auto text = identity::read_file(AT_FDCWD, proc + "/sys/" + name, kSmallFile);
  if (!text) return std::nullopt;
  while (!text->empty() && text->back() == '\n') text->pop_back();
  return *text;
}

std::optional<std::string> namespace_of(const std::string& proc, const std::string& process,
                                        const std::string& kind) {
  auto link = identity::read_link(AT_FDCWD, proc + "/" + process + "/ns/" + kind);
  return link ? std::optional(std::move(*link)) : std::nullopt;
}

// The capabilities that `text` says are missing, without those that would do in their stead.
std::string missing_in(std::string text) {
  if (const std::size_t instead = text.find("(or "); instead != std::string::npos) {
    text.erase(instead, text.find(')', instead) - instead);
  }
  std::string out;
  for (const Capability& capability : kCapabilities) {
    const std::string word = fmt::format("CAP_{}", capability.name);
    if (text.find(word) != std::string::npos) out += (out.empty() ? "" : " and ") + word;
  }
  return out;
}

void check_user_namespaces(const std::string& proc, Findings& out) {
  const auto most = read_setting(proc, "user/max_user_namespaces");
  const auto debian = read_setting(proc, "kernel/unprivileged_userns_clone");
  const auto ubuntu = read_setting(proc, "kernel/apparmor_restrict_unprivileged_userns");
  const bool closed = !most || *most == "0" || debian == "0" || ubuntu == "1";
  if (closed) {
    out.push_back({Health::ok, "user_namespaces", "programs can't make their own", {}});
    return;
  }
  out.push_back(
      {Health::warning, "user_namespaces",
       fmt::format("any program can make its own (user.max_user_namespaces is {}), and in it mount "
                   "what it likes over the path of an allowed program; Warder then gives it no "
                   "name (alien_path), and it can still call itself what it likes to others",
                   *most),
       "where no sandbox needs them: sysctl -w user.max_user_namespaces=0; in containers keep the "
       "engine's seccomp profile, which forbids them"});
}

void check_yama(const std::string& proc, Findings& out) {
  const auto scope = read_setting(proc, "kernel/yama/ptrace_scope");
  if (scope && *scope != "0") {
    out.push_back(
        {Health::ok,
         "ptrace",
         fmt::format("a program may trace only its children (ptrace_scope is {})", *scope),
         {}});
    return;
  }
  const std::string remedy =
      scope ? "sysctl -w kernel.yama.ptrace_scope=1, or run each program under a user of its own"
            : "a kernel with Yama, or run each program under a user of its own";
  out.push_back({Health::warning, "ptrace",
                 fmt::format("a program can trace any other of its user and speak as it ({}); "
                             "Warder sees that only while it lasts (traced)",
                             scope ? "kernel.yama.ptrace_scope is 0" : "Yama is not there"),
                 remedy});
}

}  // namespace

std::string grant(const std::string& capability) {
  return fmt::format(
      "grant CAP_{0} (compose: cap_add: [{0}]; systemd: AmbientCapabilities=CAP_{0}; Kubernetes: "
      "securityContext.capabilities.add: [{0}])",
      capability);
}

void check_capabilities(const std::string& proc, bool discover, Findings& out) {
  const auto status = identity::read_file(AT_FDCWD, proc + "/self/status", kSmallFile);
  const auto effective = status ? identity::parse_status_capabilities(*status) : std::nullopt;
  if (!effective) {
    out.push_back({Health::failed, "capabilities", proc + "/self/status can't be read",
                   "mount procfs, or set identity.proc"});
    return;
  }
  const auto has = [&](int number) { return (*effective >> number & 1) != 0; };
  for (const Capability& capability : kCapabilities) {
    if (capability.number == CAP_SYS_CHROOT && !discover) continue;
    std::string said = fmt::format("CAP_{} is effective: {}", capability.name, capability.use);
    Finding finding{Health::ok, "capabilities", std::move(said), {}};
    const bool of_bpf = capability.number == CAP_BPF || capability.number == CAP_PERFMON;
    if (!has(capability.number) && of_bpf && has(CAP_SYS_ADMIN)) {
      finding.what =
          fmt::format("CAP_SYS_ADMIN stands for CAP_{}: {}", capability.name, capability.use);
    } else if (!has(capability.number)) {
      finding = {Health::warning, "capabilities",
                 fmt::format("CAP_{} is not effective: {}", capability.name, capability.use),
                 grant(std::string(capability.name))};
    }
    out.push_back(std::move(finding));
  }
}

void check_abilities(const identity::Abilities& abilities, Findings& out) {
  for (const identity::Ability& ability : abilities) {
    if (ability.available) {
      out.push_back({Health::ok, "ability", ability.name + " was tried and works", {}});
      continue;
    }
    const std::string missing = missing_in(ability.detail);
    out.push_back({Health::warning, "ability",
                   fmt::format("{} does not work: {}; instead: {}", ability.name, ability.detail,
                               ability.instead),
                   missing.empty() ? "" : fmt::format("grant {}: see capabilities", missing)});
  }
}

void check_view(const std::string& proc, Findings& out) {
  // PROC_PID_INIT_INO, include/linux/proc_ns.h: the number of the first PID namespace.
  constexpr std::string_view kFirst = "pid:[4026531836]";
  const auto own = namespace_of(proc, "self", "pid");
  if (own != kFirst) {
    out.push_back({Health::warning, "processes",
                   "Warder is in a PID namespace of its own: only callers inside it are seen",
                   "share the host's (compose: pid: host; Kubernetes: hostPID: true), or the pod's "
                   "(Kubernetes: shareProcessNamespace: true)"});
  } else {
    out.push_back({Health::ok, "processes", "every process of the host has a number here", {}});
  }
  struct stat first {};
  if (::stat((proc + "/1").c_str(), &first) != 0) {
    out.push_back(
        {Health::warning, "processes",
         fmt::format("{} hides the processes of other users (hidepid)", proc),
         grant("SYS_PTRACE") + ", or mount procfs without hidepid and name it in identity.proc"});
  }
}

void check_hardening(const std::string& proc, Findings& out) {
  check_user_namespaces(proc, out);
  check_yama(proc, out);
}

void check_descriptors(const Config& config, Findings& out) {
  const std::size_t wanted = config.limits.connections;
  const std::size_t possible = connections_for_descriptors(wanted, kReservedDescriptors);
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (possible == wanted) {
    out.push_back({Health::ok,
                   "descriptors",
                   fmt::format("{} are enough for {} connections", limit.rlim_cur, wanted),
                   {}});
    return;
  }
  out.push_back(
      {Health::warning, "descriptors",
       fmt::format("{} are enough for {} connections, not for the {} of limits.connections",
                   limit.rlim_cur, possible, wanted),
       "raise RLIMIT_NOFILE (compose: ulimits: { nofile: 65536 }; systemd: LimitNOFILE=65536; "
       "Kubernetes: the container runtime's limit), or lower limits.connections"});
}

}  // namespace warder::proxy::doctor
