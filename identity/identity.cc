#include "identity/identity.h"

#include <algorithm>
#include <utility>

namespace warder::identity {
namespace {

constexpr std::size_t kMostBehind = 64;
constexpr std::size_t kMostPathsBehind = 65536;  // bytes

std::size_t path_bytes(const Process& process) {
  return process.path.size() + (process.binary ? process.binary->size() : 0);
}

// Whether every holder runs one executable, and nobody else can hold the connection out of sight.
bool one_program(const Identity& identity) {
  if (identity.grade != Grade::exact && identity.grade != Grade::shared) return false;
  const auto in_doubt = [](Cause cause) {
    return cause == Cause::hidden_holder || cause == Cause::image_changed ||
           cause == Cause::image_exchanged;
  };
  if (std::any_of(identity.causes.begin(), identity.causes.end(), in_doubt)) return false;
  const auto& all = identity.processes;
  return !all.empty() && std::all_of(all.begin(), all.end(), [&](const Process& process) {
    return process.image == all.front().image;
  });
}

}  // namespace

std::string Scope::name() const {
  switch (kind) {
    case Kind::pid: return source.empty() ? "pid:" + std::to_string(pid) : source;
    case Kind::global: return "global";
    case Kind::discovered:
      return network_namespace == 0 ? "discovered" : "netns:" + std::to_string(network_namespace);
  }
  return "unknown";
}

const std::string* Identity::binary() const {
  if (!one_program(*this)) return nullptr;
  const auto& first = processes.front().binary;
  if (!first) return nullptr;
  for (const Process& process : processes)
    if (process.binary != first) return nullptr;
  return &*first;
}

const std::string* Identity::sha256() const {
  if (!one_program(*this)) return nullptr;
  const auto& first = processes.front().sha256;
  if (!first) return nullptr;
  for (const Process& process : processes)
    if (process.sha256 != first) return nullptr;
  return &*first;
}

void add_behind(Process program, Identity& identity) {
  std::size_t bytes = path_bytes(program);
  for (const Process& known : identity.via) bytes += path_bytes(known);
  if (identity.via.size() >= kMostBehind || bytes > kMostPathsBehind) {
    identity.via_complete = false;
    return;
  }
  identity.via.push_back(std::move(program));
}

std::string_view name(Grade grade) {
  switch (grade) {
    case Grade::exact: return "exact";
    case Grade::shared: return "shared";
    case Grade::ambiguous: return "ambiguous";
    case Grade::unresolved: return "unresolved";
  }
  return "unresolved";
}

std::string_view name(Assurance assurance) {
  switch (assurance) {
    case Assurance::proven: return "proven";
    case Assurance::observed: return "observed";
    case Assurance::suspect: return "suspect";
  }
  return "suspect";
}

std::string_view name(Cause cause) {
  switch (cause) {
    case Cause::hidden_holder: return "hidden_holder";
    case Cause::image_changed: return "image_changed";
    case Cause::image_exchanged: return "image_exchanged";
    case Cause::alien_path: return "alien_path";
    case Cause::image_replaced: return "image_replaced";
    case Cause::traced: return "traced";
    case Cause::connector_unknown: return "connector_unknown";
    case Cause::references_uncounted: return "references_uncounted";
    case Cause::unreadable_processes: return "unreadable_processes";
  }
  return "unknown";
}

std::string_view name(Reason reason) {
  switch (reason) {
    case Reason::socket_not_found: return "socket_not_found";
    case Reason::client_gone: return "client_gone";
    case Reason::owner_not_found: return "owner_not_found";
    case Reason::owner_unreadable: return "owner_unreadable";
    case Reason::process_gone: return "process_gone";
    case Reason::raced: return "raced";
    case Reason::table_unreadable: return "table_unreadable";
    case Reason::address_translated: return "address_translated";
    case Reason::lookup_failed: return "lookup_failed";
  }
  return "lookup_failed";
}

std::string_view name(Role role) {
  switch (role) {
    case Role::connector: return "connector";
    case Role::holder: return "holder";
  }
  return "holder";
}

Assurance at_best(Cause cause) {
  switch (cause) {
    case Cause::hidden_holder:
    case Cause::image_changed:
    case Cause::image_exchanged:
    case Cause::alien_path:
    case Cause::image_replaced:
    case Cause::traced: return Assurance::suspect;
    case Cause::connector_unknown:
    case Cause::references_uncounted:
    case Cause::unreadable_processes: return Assurance::observed;
  }
  return Assurance::suspect;
}

}  // namespace warder::identity
