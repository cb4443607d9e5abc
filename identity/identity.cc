#include "identity/identity.h"

namespace warder::identity {

std::string Scope::name() const {
  return kind == Kind::global ? "global" : "pid:" + std::to_string(pid);
}

const std::string* Identity::binary() const {
  if (grade != Grade::exact && grade != Grade::shared) return nullptr;
  if (processes.empty()) return nullptr;
  const Process& first = processes.front();
  if (!first.binary) return nullptr;
  for (const Process& process : processes)
    if (process.image != first.image || process.binary != first.binary) return nullptr;
  return &*first.binary;
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
    case Cause::alien_path: return "alien_path";
    case Cause::image_replaced: return "image_replaced";
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
    case Reason::lookup_failed: return "lookup_failed";
  }
  return "lookup_failed";
}

}  // namespace warder::identity
