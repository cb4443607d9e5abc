#include "proxy/exchange_record.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace warder::proxy {

namespace {

bool connected(const identity::Process& process) {
  const auto& roles = process.roles;
  return std::find(roles.begin(), roles.end(), identity::Role::connector) != roles.end();
}

// The one to name where there is room for one: what connected, else the first. Not empty.
const identity::Process& foremost(const std::vector<identity::Process>& processes) {
  const auto it = std::find_if(processes.begin(), processes.end(), connected);
  return it == processes.end() ? processes.front() : *it;
}

// nullopt where they are in different ones, or not all in one.
std::optional<std::string> container_of(const std::vector<identity::Process>& processes) {
  for (const identity::Process& process : processes) {
    if (process.container != processes.front().container) return std::nullopt;
  }
  return processes.empty() ? std::nullopt : processes.front().container;
}

opa::QueryProcess query_process(const identity::Process& process) {
  opa::QueryProcess out;
  out.pid = process.pid;
  out.uid = process.uid;
  out.gid = process.gid;
  out.start_time = process.start_time;
  out.binary = process.binary;
  out.path = process.path;
  if (process.binary) out.names.push_back(*process.binary);
  for (const std::string& name : process.names) {
    if (name != process.binary) out.names.push_back(name);
  }
  out.sha256 = process.sha256;
  for (const identity::Role role : process.roles) out.role.emplace_back(identity::name(role));
  out.deleted = process.deleted;
  out.image_writable = process.image_writable;
  out.traced = process.traced;
  out.ancestors = process.ancestors;
  out.ancestors_complete = process.ancestors_complete;
  out.container = process.container;
  out.pod = process.pod;
  out.command_line = process.command_line;
  return out;
}

// What was said of an earlier look at the same caller.
void forget(DecisionRecord& record) {
  record.subject.binary.reset();
  record.subject.pid.reset();
  record.subject.uid.reset();
  record.scope.reset();
  record.causes.clear();
  record.identity_reason.reset();
  record.identity_detail.reset();
  record.holders.clear();
  record.connector.reset();
  record.sha256.reset();
  record.via.clear();
}

void describe_holders(const identity::Identity& identity, DecisionRecord& record) {
  record.relays = identity.relays;
  for (const identity::Process& process : identity.via) record.via.push_back(process.path);
  if (record.subject.binary) return;
  for (const identity::Process& process : identity.processes) {
    const auto& roles = process.roles;
    const bool holds = std::find(roles.begin(), roles.end(), identity::Role::holder) != roles.end();
    if (holds || roles.empty()) record.holders.push_back(process.path);
    if (connected(process)) record.connector = process.path;
  }
}

opa::Query::Identity query_identity(const identity::Identity& identity) {
  opa::Query::Identity out;
  out.grade = identity::name(identity.grade);
  out.assurance = identity::name(identity.assurance);
  for (const identity::Cause cause : identity.causes) {
    out.causes.emplace_back(identity::name(cause));
  }
  if (identity.reason) out.reason = identity::name(*identity.reason);
  if (!identity.detail.empty()) out.detail = identity.detail;
  if (identity.scope) out.scope = identity.scope->name();
  out.method = identity.method;
  out.relays = identity.relays;
  out.via_complete = identity.via_complete;
  for (const identity::Process& process : identity.via) {
    out.via.push_back({process.pid, process.uid, process.binary, process.path});
  }
  for (const identity::Process& process : identity.processes) {
    out.processes.push_back(query_process(process));
  }
  return out;
}

}  // namespace

void describe_identity(const identity::Identity& identity, DecisionRecord& record) {
  forget(record);
  if (const std::string* binary = identity.binary()) record.subject.binary = *binary;
  if (!identity.processes.empty()) {
    const identity::Process& process = foremost(identity.processes);
    record.subject.pid = process.pid;
    record.subject.uid = process.uid;
  }
  if (identity.scope) record.scope = identity.scope->name();
  record.method = identity.method;
  record.grade = identity::name(identity.grade);
  record.assurance = identity::name(identity.assurance);
  for (const identity::Cause cause : identity.causes) {
    record.causes.emplace_back(identity::name(cause));
  }
  if (identity.reason) record.identity_reason = identity::name(*identity.reason);
  if (!identity.detail.empty()) record.identity_detail = identity.detail;
  if (const std::string* sha256 = identity.sha256()) record.sha256 = *sha256;
  record.container = container_of(identity.processes);
  describe_holders(identity, record);
}

opa::Query::Request connect_request() {
  opa::Query::Request request;
  request.kind = "connect";
  request.method = "CONNECT";
  return request;
}

opa::Query make_query(const Subject& subject, const identity::Identity& identity,
                      opa::Query::Request request) {
  opa::Query query;
  if (const std::string* binary = identity.binary()) query.binary = *binary;
  query.host = subject.host.value_or("");
  query.port = subject.port.value_or(0);
  query.request_id = subject.request_id;
  if (const std::string* sha256 = identity.sha256()) query.sha256 = *sha256;
  if (identity.processes.size() == 1) query.ancestors = identity.processes.front().ancestors;
  query.request = std::move(request);
  query.client.address = subject.client.address.unmapped().text();
  query.client.port = subject.client.port;
  query.identity = query_identity(identity);
  return query;
}

std::string upstream_key(const opa::Query& query, const opa::Decision& decision) {
  return fmt::format("{}\n{}\n{}\n{}\n{}", decision.policy.value_or(""),
                     decision.revision.value_or(""), decision.read_only,
                     fmt::join(decision.allowed_ips, ","), opa::caller_key(query));
}

std::string told_to_client(const DecisionRecord& record, Explain explain) {
  if (explain == Explain::full) return record.reason;
  if (record.code.starts_with("opa_")) {
    return "The policy server gave no decision; the proxy's log says why.";
  }
  if (record.code != "denied") return record.reason;
  std::string told = "The policy denies this request.";
  const bool known = record.subject.binary && record.assurance != "suspect";
  if (!known && record.identity_detail) {
    told += fmt::format(" The caller is not known for certain: {}.", *record.identity_detail);
  }
  return told;
}

DecisionRecord limit_record(std::string request_id, const net::Endpoint& client,
                            std::string reason) {
  DecisionRecord record;
  record.subject.request_id = std::move(request_id);
  record.subject.client = client;
  record.verdict = Verdict::error;
  record.status = 429;
  record.code = "connection_limit";
  record.reason = std::move(reason);
  return record;
}

Diagnostic sni_diagnostic(const Subject& subject, const SniFailure& failure) {
  return {LogLevel::warn,
          "sni",
          failure.message,
          {{"request_id", subject.request_id},
           {"close_reason", failure.close_reason},
           {"host", subject.host.value_or("")},
           {"server_name", failure.server_name.value_or("")},
           {"binary", subject.binary.value_or("")},
           {"client", subject.client.text()}}};
}

std::string identity_key(const identity::Identity& identity, const net::Endpoint& client) {
  // What changes with each start of the same file is not in it: ancestors, arguments, how many
  // processes have its connection, a name nobody vouches for. A copy of the file is another
  // program.
  if (identity.processes.empty()) {
    const net::IpAddress address = client.address.unmapped();
    // Whoever is on the host may connect from any address of 127.0.0.0/8 (RFC 1122, 3.2.1.3).
    const bool loopback = address.is_v4() && address.bytes()[0] == 127;
    return "unknown " + (loopback ? "127.0.0.1" : address.text());
  }
  const identity::Process& process = identity.processes.front();
  const std::string* binary = identity.binary();
  return fmt::format("{} {} {}", process.uid, process.container.value_or("-"),
                     binary != nullptr ? *binary : "?");
}

}  // namespace warder::proxy
