#include "identity/bpf/hindrance.h"

#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <optional>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity::bpf {
namespace {

// PROC_USER_INIT_INO, include/linux/proc_ns.h: the number of the first user namespace.
constexpr std::uint64_t kFirstUserNamespace = 0xEFFFFFFD;

void add(std::string& list, const std::string& item) {
  if (!list.empty()) list += "; ";
  list += item;
}

bool older_than(const std::string& release, std::uint64_t major, std::uint64_t minor) {
  char* end = nullptr;
  const std::uint64_t first = std::strtoull(release.c_str(), &end, 10);
  const std::uint64_t second = *end == '.' ? std::strtoull(end + 1, nullptr, 10) : 0;
  return first < major || (first == major && second < minor);
}

std::string capabilities_missing(int proc_root) {
  const auto status = read_file(proc_root, "thread-self/status", std::size_t{64} * 1024);
  const auto effective = status ? parse_status_capabilities(*status) : std::nullopt;
  if (!effective) return {};
  const auto has = [&](int capability) { return (*effective >> capability & 1) != 0; };
  if (has(CAP_SYS_ADMIN)) return {};
  std::string list;
  for (const auto& [capability, name] :
       {std::pair(CAP_BPF, "CAP_BPF"), std::pair(CAP_PERFMON, "CAP_PERFMON")}) {
    if (has(capability)) continue;
    if (!list.empty()) list += " and ";
    list += name;
  }
  return list.empty() ? list : list + " (or CAP_SYS_ADMIN) not effective";
}

}  // namespace

std::string explain(const Error& error, int proc_root) {
  std::string list;
  if (auto missing = capabilities_missing(proc_root); !missing.empty()) return missing;
  const auto link = read_link(proc_root, "self/ns/user");
  const auto space = link ? parse_inode_link(*link, "user") : std::nullopt;
  if (space && *space != kFirstUserNamespace)
    add(list, "Warder is in a user namespace of its own, whose capabilities do not count for BPF");
  if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0)
    add(list,
        "/sys/kernel/btf/vmlinux cannot be read: a kernel with CONFIG_DEBUG_INFO_BTF and /sys"
        " mounted are needed");
  utsname system{};
  if (::uname(&system) == 0 && older_than(system.release, 6, 1))
    add(list, std::string("Linux ") + system.release + " is older than 6.1");
  std::string lockdown;
  std::getline(std::ifstream("/sys/kernel/security/lockdown"), lockdown);
  if (lockdown.find("[confidentiality]") != std::string::npos)
    add(list, "the kernel is locked down (confidentiality): BPF programs may not read its memory");
  std::string said = describe(error);  // libbpf's messages are several lines
  std::replace(said.begin(), said.end(), '\n', ' ');
  add(list, said);
  return list;
}

}  // namespace warder::identity::bpf
