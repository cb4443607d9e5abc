#include "proxy/exchange_record.h"

#include <fmt/format.h>

#include <utility>

namespace warder::proxy {

namespace {

opa::QueryProcess query_process(const identity::Process& process) {
  opa::QueryProcess out;
  out.pid = process.pid;
  out.uid = process.uid;
  out.start_time = process.start_time;
  out.binary = process.binary;
  out.path = process.path;
  if (process.binary) out.names.push_back(*process.binary);
  out.role = {"holder"};
  out.deleted = process.deleted;
  out.ancestors = process.ancestors;
  out.ancestors_complete = process.ancestors_complete;
  return out;
}

}  // namespace

void describe_identity(const identity::Identity& identity, DecisionRecord& record) {
  // Said of an earlier look at the same caller, it must not stay.
  record.subject.binary.reset();
  record.subject.pid.reset();
  record.subject.uid.reset();
  record.scope.reset();
  record.causes.clear();
  record.identity_reason.reset();
  record.identity_detail.reset();
  record.holders.clear();
  if (const std::string* binary = identity.binary()) record.subject.binary = *binary;
  if (!identity.processes.empty()) {
    record.subject.pid = identity.processes.front().pid;
    record.subject.uid = identity.processes.front().uid;
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
  if (record.subject.binary) return;
  for (const identity::Process& process : identity.processes) {
    record.holders.push_back(process.path);
  }
}

opa::Query connect_query(const Subject& subject, const identity::Identity& identity) {
  opa::Query query;
  if (const std::string* binary = identity.binary()) query.binary = *binary;
  query.host = subject.host.value_or("");
  query.port = subject.port.value_or(0);
  query.request_id = subject.request_id;
  if (identity.processes.size() == 1) query.ancestors = identity.processes.front().ancestors;
  query.request.kind = "connect";
  query.request.method = "CONNECT";
  query.client.address = subject.client.address.unmapped().text();
  query.client.port = subject.client.port;
  query.identity.grade = identity::name(identity.grade);
  query.identity.assurance = identity::name(identity.assurance);
  for (const identity::Cause cause : identity.causes) {
    query.identity.causes.emplace_back(identity::name(cause));
  }
  if (identity.reason) query.identity.reason = identity::name(*identity.reason);
  if (!identity.detail.empty()) query.identity.detail = identity.detail;
  if (identity.scope) query.identity.scope = identity.scope->name();
  query.identity.method = identity.method;
  for (const identity::Process& process : identity.processes) {
    query.identity.processes.push_back(query_process(process));
  }
  return query;
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

std::string identity_key(const identity::Identity& identity, const net::Endpoint& client) {
  if (const std::string* binary = identity.binary()) {
    return fmt::format("{} {}", identity.processes.front().uid, *binary);
  }
  return "unknown " + client.address.unmapped().text();
}

}  // namespace warder::proxy
