#include <algorithm>

#include "identity/investigator.h"

namespace warder::identity {
namespace {

using Processes = std::vector<Process>;

Processes::const_iterator of_pid(const Processes& processes, pid_t pid) {
  return std::find_if(processes.begin(), processes.end(),
                      [&](const Process& process) { return process.pid == pid; });
}

bool has_role(const Process& process, Role role) {
  return std::find(process.roles.begin(), process.roles.end(), role) != process.roles.end();
}

// nullptr where none is, or other names were looked for.
const std::string* lost_name(const Process& old, const Process& process) {
  if (old.names_of != process.names_of) return nullptr;
  const auto& names = process.names;
  const auto lost = std::find_if(old.names.begin(), old.names.end(), [&](const std::string& name) {
    return std::find(names.begin(), names.end(), name) == names.end();
  });
  return lost == old.names.end() ? nullptr : &*lost;
}

std::optional<std::string> other_process(const Process& old, const Process& process) {
  if (old.start_time != process.start_time)
    return pid_and_path(process) + " is another process than before";
  if (old.image != process.image)
    return "process " + std::to_string(process.pid) + " runs " + process.path + " now instead of " +
           old.path;
  if (old.executions != process.executions && old.executions != 0 && process.executions != 0)
    return pid_and_path(process) + " has executed a program since";
  if (old.binary != process.binary || old.path != process.path)
    return pid_and_path(process) + " has not the name any more that it had: " + old.path;
  if (const std::string* lost = lost_name(old, process))
    return pid_and_path(process) + " has not the name any more that it had: " + *lost;
  if (old.roles == process.roles) return std::nullopt;
  const bool connected = has_role(process, Role::connector);
  if (connected != has_role(old, Role::connector))
    return pid_and_path(process) + (connected ? " is known to have connected now"
                                              : " is not known any more to have connected");
  return pid_and_path(process) +
         (has_role(process, Role::holder) ? " holds the socket again" : " let go of the socket");
}

std::optional<std::string> other_processes(const Processes& before, const Processes& now) {
  for (const Process& process : now) {
    const auto old = of_pid(before, process.pid);
    if (old == before.end())
      return pid_and_path(process) +
             (has_role(process, Role::connector) ? " connected" : " holds the socket too now");
    if (auto what = other_process(*old, process)) return what;
  }
  for (const Process& process : before)
    if (of_pid(now, process.pid) == now.end())
      return pid_and_path(process) + " holds the socket no longer";
  return std::nullopt;
}

std::optional<std::string> other_relays(const Identity& before, const Identity& now) {
  if (now.relays && !before.relays) return "connections of other programs lead to it now";
  if (before.via_complete && !now.via_complete) return "not all programs behind it are known now";
  for (const Process& process : now.via) {
    const bool known = std::any_of(before.via.begin(), before.via.end(), [&](const Process& old) {
      return old.image == process.image && old.binary == process.binary && old.uid == process.uid;
    });
    if (!known) return pid_and_path(process) + " is behind it now";
  }
  return std::nullopt;
}

// Both have the same processes.
bool other_paths(const Identity& before, const Identity& now) {
  return std::any_of(now.processes.begin(), now.processes.end(), [&](const Process& process) {
    return of_pid(before.processes, process.pid)->names_of != process.names_of;
  });
}

std::optional<std::string> other_owner(const Identity& before, const Identity& now) {
  if (before.inode != now.inode)
    return "the socket is another: inode " + std::to_string(now.inode) + " instead of " +
           std::to_string(before.inode);
  if (auto what = other_processes(before.processes, now.processes)) return what;
  if (before.grade != now.grade)
    return "the grade is " + std::string(name(now.grade)) + " instead of " +
           std::string(name(before.grade));
  // What speaks against it may get less, never more.
  for (const Cause cause : now.causes)
    if (std::find(before.causes.begin(), before.causes.end(), cause) == before.causes.end())
      return "the assurance is " + std::string(name(now.assurance)) +
             " now: " + std::string(name(cause));
  return std::nullopt;
}

}  // namespace

void keep_relayed(const Identity& before, Identity& now) {
  now.relays |= before.relays;
  now.via_complete &= before.via_complete;
  for (const Process& process : before.via)
    if (of_pid(now.via, process.pid) == now.via.end()) add_behind(process, now);
}

std::string pid_and_path(const Process& process) {
  return "process " + std::to_string(process.pid) + " (" + process.path + ")";
}

std::optional<Change> difference(const Identity& before, const Identity& now) {
  if (before.reason)
    return Change{"no owner was found before: there is nothing to confirm", false, false};
  if (now.reason) {
    const bool ended = now.reason == Reason::process_gone && now.inode == 0;  // and its socket too
    const bool closed =
        ended || now.reason == Reason::client_gone || now.reason == Reason::socket_not_found;
    return Change{
        "the owner can't be found any more: " + std::string(name(*now.reason)) + ": " + now.detail,
        closed, false, now.reason == Reason::lookup_failed};
  }
  if (auto what = other_owner(before, now)) return Change{std::move(*what), false, false};
  if (auto what = other_relays(before, now)) return Change{std::move(*what), false, true};
  if (other_paths(before, now))
    return Change{"the policy mentions programs by other paths now", false, true};
  return std::nullopt;
}

}  // namespace warder::identity
