#include "proxy/opa_options.h"

#include <utility>

namespace warder::proxy {

Result<opa::ClientOptions> opa_options(const Config::Opa& config) {
  opa::ClientOptions options;
  Result<opa::Address> address = opa::parse_url(config.url);
  if (!address) return fail(std::move(address.error()));
  options.address = std::move(*address);
  if (options.address.tls) {
    auto context =
        tls::RenewableContext::create({config.ca_file, config.cert_file, config.key_file});
    if (!context) return fail(std::move(context.error()));
    options.tls = std::move(*context);
  }
  options.token_file = config.token_file;
  options.path = config.path;
  options.timeout = config.timeout;
  return options;
}

Diagnostic opa_diagnostic(const opa::ClientEvent& event) {
  using What = opa::ClientEvent::Kind;
  const auto told = [&](LogLevel level, const char* name, const char* message) {
    return Diagnostic{level, name, message, {{"detail", event.detail}}};
  };
  switch (event.kind) {
    case What::breaker_opened:
      return told(LogLevel::error, "opa_breaker_open",
                  "OPA gives no answers: until it does, nobody waits for one.");
    case What::breaker_closed:
      return told(LogLevel::info, "opa_breaker_closed", "OPA answers again.");
    case What::token_bad:
      return told(LogLevel::error, "opa_token", "The bearer token for OPA can't be read.");
    case What::policy_error:
      return told(LogLevel::error, "opa_policy_error",
                  "OPA can't evaluate the policy: what is asked is refused.");
    case What::token_good: break;
  }
  return told(LogLevel::info, "opa_token", "The bearer token for OPA can be read again.");
}

}  // namespace warder::proxy
