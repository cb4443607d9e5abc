#pragma once

#include <string>

#include "identity/identity.h"
#include "opa-client/decision.h"
#include "opa-client/query.h"
#include "proxy/record.h"
#include "proxy/sni_rules.h"

namespace warder::proxy {

// The one place where an Identity becomes what operators and the policy see.

// Fills in who is calling: binary, pid, uid (of the only holder, or the first of several), scope,
// method, grade, assurance, causes, reasons.
void describe_identity(const identity::Identity& identity, DecisionRecord& record);

// The input document for a request by `identity`. `subject` has host and port.
[[nodiscard]] opa::Query make_query(const Subject& subject, const identity::Identity& identity,
                                    opa::Query::Request request);

// Who may use a connection to an origin that was opened for one request: equal for two requests
// only if everything the policy was told of the caller is, and what it answered.
[[nodiscard]] std::string upstream_key(const opa::Query& query, const opa::Decision& decision);

// What a CONNECT asks for.
[[nodiscard]] opa::Query::Request connect_request();

// The reason that a refused client is told.
[[nodiscard]] std::string told_to_client(const DecisionRecord& record, Explain explain);

// A connection above the limits, refused with 429 before anything was read.
[[nodiscard]] DecisionRecord limit_record(std::string request_id, const net::Endpoint& client,
                                          std::string reason);

// A tunnel closed because of what its ClientHello says, or doesn't.
[[nodiscard]] Diagnostic sni_diagnostic(const Subject& subject, const SniFailure& failure);

// What is counted together for limits.connections_per_identity and opa.max_denials_per_second: the
// program with its user and container; all of these without a name to rely on; where nobody is
// known, the client's address.
[[nodiscard]] std::string identity_key(const identity::Identity& identity,
                                       const net::Endpoint& client);

}  // namespace warder::proxy
