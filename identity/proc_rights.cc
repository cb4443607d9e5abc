#include "identity/proc_rights.h"

#include <linux/capability.h>

#include "identity/proc_files.h"
#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

// PROC_PID_INIT_INO, include/linux/proc_ns.h: the number of the first PID namespace.
constexpr std::uint64_t kFirstPidNamespace = 0xEFFFFFFC;

void add(std::string& list, std::string_view item) {
  if (!list.empty()) list += ", ";
  list += item;
}

}  // namespace

std::string ProcRights::missing() {
  std::string list;
  const auto status = read_file(proc_root_, "self/status", std::size_t{64} * 1024);
  const auto effective = status ? parse_status_capabilities(*status) : std::nullopt;
  if (effective) {
    const auto lacks = [&](int capability) { return (*effective >> capability & 1) == 0; };
    if (lacks(CAP_SYS_PTRACE)) add(list, "CAP_SYS_PTRACE is not effective");
    if (lacks(CAP_DAC_READ_SEARCH)) add(list, "CAP_DAC_READ_SEARCH is not effective");
  }
  const auto space = read_link(proc_root_, "self/ns/pid");
  const auto number = space ? parse_inode_link(*space, "pid") : std::nullopt;
  if (number && *number != kFirstPidNamespace)
    add(list, "Warder is in a PID namespace of its own: processes outside are not seen");
  return list;
}

}  // namespace warder::identity
