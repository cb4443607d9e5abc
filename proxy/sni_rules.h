#pragma once

#include <optional>
#include <string>

#include "net/http/authority.h"
#include "net/tls/client_hello.h"
#include "proxy/record.h"

namespace warder::proxy {

// Why a tunnel whose policy says `sni: match` is closed.
struct SniFailure {
  ClosedBy closed_by = ClosedBy::proxy;
  std::string close_reason;
  std::string message;                     // one sentence; empty where the client only went away
  std::optional<std::string> server_name;  // what the client sent; any bytes
  std::string alert;                       // for the client, where it speaks TLS
};

// The rule itself: nullopt where `hello` names the host that was approved. A host that is an
// address is matched by that address too, and by no name at all, since RFC 6066 section 3 has no
// names for addresses.
[[nodiscard]] std::optional<SniFailure> judge_hello(const tls::ClientHello& hello,
                                                    const http::Host& approved);

// No whole ClientHello in time, and none because the client ended its side. `tls`: it had begun.
[[nodiscard]] SniFailure hello_timeout(bool tls);
[[nodiscard]] SniFailure hello_incomplete();

}  // namespace warder::proxy
