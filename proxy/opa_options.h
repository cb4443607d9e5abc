#pragma once

#include <memory>

#include "net/result.h"
#include "net/tls/client_stream.h"
#include "opa-client/client.h"
#include "proxy/config.h"
#include "proxy/record.h"

namespace warder::proxy {

// What every client of OPA in this process has in common: where it is, what it is asked, and what
// both show each other. Without resolver, pool, breaker and events. Errors: bad_config, system.
[[nodiscard]] Result<opa::ClientOptions> opa_options(const Config::Opa& config);

// How the log tells it.
[[nodiscard]] Diagnostic opa_diagnostic(const opa::ClientEvent& event);

}  // namespace warder::proxy
