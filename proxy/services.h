#pragma once

#include <string>

#include "identity/resolver.h"
#include "net/lookup.h"
#include "net/loop.h"
#include "net/tls/client_hello.h"
#include "opa-client/answer_reuse.h"
#include "opa-client/client.h"
#include "proxy/config.h"
#include "proxy/connection_limits.h"
#include "proxy/denial_limit.h"
#include "proxy/guard.h"
#include "proxy/metrics.h"
#include "proxy/policy_names.h"
#include "proxy/reauthorizer.h"
#include "proxy/record.h"
#include "proxy/startup_gate.h"
#include "proxy/upstream_pool.h"

namespace warder::proxy {

// What a connection works with. All of it outlives every connection; `loop`, `opa`, `names`,
// `hellos`, `upstreams`, `reuse` and `reauthorizer` are the worker's own, the rest is shared by all
// workers and may be used on any thread.
struct Services {
  net::Loop& loop;
  opa::Client& opa;
  net::NameResolver& names;
  const tls::ClientHelloParser& hellos;
  const Config& config;
  identity::Resolver& identities;
  const AddressGuard& guard;
  ConnectionLimits& limits;
  RecordSink& records;
  Metrics& metrics;
  UpstreamPool& upstreams;
  opa::AnswerReuse& reuse;
  Reauthorizer& reauthorizer;
  RevisionListener& revisions;
  const StartupGate& gate;
  DenialLimit& denials;
  const std::string& pseudonym;  // ours in Via, of this process
};

}  // namespace warder::proxy
