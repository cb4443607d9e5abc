#include "proxy/sni_rules.h"

#include <utility>

#include "net/tls/records.h"

namespace warder::proxy {
namespace {

using tls::AlertDescription;
using tls::ClientHello;

SniFailure failure(std::string reason, std::string message, AlertDescription alert) {
  SniFailure out;
  out.close_reason = std::move(reason);
  out.message = std::move(message);
  out.alert = tls::fatal_alert(alert);
  return out;
}

SniFailure unreadable(const ClientHello& hello) {
  switch (hello.kind) {
    case ClientHello::Kind::not_tls: {
      SniFailure out = failure("not_tls", "The client does not speak TLS: " + hello.detail + ".",
                               AlertDescription::decode_error);
      out.alert.clear();
      return out;
    }
    case ClientHello::Kind::too_large:
      return failure("client_hello_too_large", "The ClientHello is " + hello.detail + ".",
                     AlertDescription::access_denied);
    case ClientHello::Kind::malformed:
    case ClientHello::Kind::tls: break;
  }
  return failure("client_hello_malformed", "The ClientHello is malformed: " + hello.detail + ".",
                 AlertDescription::decode_error);
}

}  // namespace

std::optional<SniFailure> judge_hello(const ClientHello& hello, const http::Host& approved) {
  std::optional<SniFailure> found;
  if (hello.kind != ClientHello::Kind::tls) {
    found = unreadable(hello);
  } else if (hello.encrypted) {
    const bool matches = hello.host == approved;
    found = failure("ech",
                    std::string("The ClientHello has an encrypted part (ECH), whose name can't be "
                                "seen; the one outside is ") +
                        (matches ? "the approved host." : "not the approved host."),
                    AlertDescription::access_denied);
  } else if (!hello.server_name) {
    if (approved.address) return std::nullopt;
    // RFC 8446 section 9.2.
    found = failure("sni_missing", "The ClientHello names no host.",
                    AlertDescription::missing_extension);
  } else if (hello.host != approved) {
    found = failure("sni_mismatch", "The ClientHello names another host than was approved.",
                    AlertDescription::unrecognized_name);
  }
  if (found) found->server_name = hello.server_name;
  return found;
}

SniFailure hello_timeout(bool tls) {
  SniFailure out = failure("client_hello_timeout", "No whole ClientHello came in time.",
                           AlertDescription::access_denied);
  if (!tls) out.alert.clear();
  return out;
}

SniFailure hello_incomplete() {
  SniFailure out;
  out.closed_by = ClosedBy::client;
  out.close_reason = "client_hello_incomplete";
  out.message = "The client ended its side before a whole ClientHello.";
  return out;
}

}  // namespace warder::proxy
