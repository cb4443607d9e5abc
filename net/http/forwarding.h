#pragma once

#include <ctime>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/body.h"
#include "net/http/head.h"
#include "net/http/response_head.h"
#include "net/result.h"

namespace warder::http {

// What a proxy rewrites in heads (RFC 9110 section 7.6, RFC 9112 section 3.2). Pure functions: what
// they return is written anew from the parsed form, never copied raw.

struct ForwardOptions {
  // Ours in Via, a token of its own for each running proxy: a request that carries it is a loop.
  std::string_view pseudonym;
  // What goes in the request line: begins with '/' or is '*'. Empty: origin_form(head).
  std::string_view request_target;
  // Drop the headers that ask the origin to see another method than the one decided on.
  bool strip_method_override = false;
  bool close = false;  // the connection to the origin is for this request only
};

struct ForwardedRequest {
  std::string head;  // as it goes to the origin; empty when answer_here
  // The request is a handshake of WebSocket and a 101 makes the connection a tunnel.
  bool websocket = false;
  // Max-Forwards of TRACE or OPTIONS is 0: it goes no further and the proxy answers.
  bool answer_here = false;
  bool expects_continue = false;  // Expect: 100-continue was passed on
};

// Path and query of an absolute target: "/" when it has none, "*" for OPTIONS (RFC 9112 section
// 3.2.4). Other forms as they are.
[[nodiscard]] std::string origin_form(const RequestHead& head);

// The head for the origin of a request in absolute form with scheme http; `framing` is
// request_framing(head).
// - Host comes first and from the target, without port 80.
// - Removed: hop-by-hop fields and those Connection names; `Proxy`; what differs from these, Host
// or
//   Content-Length only by '_' for '-'.
// - TE keeps `trailers` only. Upgrade stays when it makes a WebSocket handshake: GET in 1.1 without
//   a body, Connection names upgrade, the one token is websocket. h2c never.
// - Expect: 100-continue stays when there is a body to wait for, and the client speaks 1.1.
// Errors: bad_request (Connection is no list of tokens or names a field for the last recipient,
// such as Host or Cookie; Max-Forwards is no number; TRACE with a body), unknown_expectation,
// forwarding_loop.
[[nodiscard]] Result<ForwardedRequest> forward_request(const RequestHead& head,
                                                       const BodyFraming& framing,
                                                       const ForwardOptions& options);

struct ResponseOptions {
  int client_minor = 1;
  BodyFraming framing;          // as the body goes to the client: client_framing()
  bool keep_alive = false;      // the connection to the client stays; never when framed until_close
  std::span<const Header> own;  // of ours, added at the end
  std::string_view pseudonym;
  std::string_view date;   // RFC 9110 section 5.6.7, for an answer that has none; may be empty
  bool websocket = false;  // the 101 to a request that was `websocket`
};

// RFC 9110 section 5.6.7, e.g. "Sun, 06 Nov 1994 08:49:37 GMT".
[[nodiscard]] std::string date_text(std::time_t time);

// How a body that came as `origin` goes to the client: what has no known length is chunked for 1.1
// and ends with the connection for 1.0.
[[nodiscard]] BodyFraming client_framing(const BodyFraming& origin, int client_minor);

// The head for the client, 1xx included (a client of 1.0 must not get those: the caller's concern).
// Removed: hop-by-hop fields and those Connection names (but none for the last recipient: such a
// name is ignored), Proxy-* and Warder-* of the origin. The Content-Length of an answer to HEAD and
// of a 304 is passed on when it is one.
[[nodiscard]] std::string forward_response_head(const ResponseHead& head,
                                                const ResponseOptions& options);

// May the connection serve another message after this one (RFC 9112 section 9.3)? A proxy keeps
// none with a client of HTTP/1.0.
[[nodiscard]] bool persists_after(const RequestHead& head);
[[nodiscard]] bool persists_after(const ResponseHead& head);

}  // namespace warder::http
