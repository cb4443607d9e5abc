#pragma once

#include <string_view>

namespace warder::http {

// What kind of field a name stands for. In all of these '_' counts as '-' and case doesn't matter:
// programs behind CGI-like servers can't tell Content_Length from Content-Length, so neither may
// we.

// Means something to one connection only and is never passed on as it came (RFC 9110 section
// 7.6.1): Connection, Keep-Alive, TE, Transfer-Encoding, Upgrade, HTTP2-Settings, all Proxy-*, and
// Proxy, which CGI hands to programs as HTTP_PROXY.
[[nodiscard]] bool is_hop_by_hop(std::string_view name);

// Host and Content-Length: written anew from what was understood of them.
[[nodiscard]] bool is_written_anew(std::string_view name);

// Asks an origin to take the request for one of another method.
[[nodiscard]] bool is_method_override(std::string_view name);

// Is for the last recipient, so a Connection header that names it is an attempt to have it removed
// on the way: framing, routing, authentication, content.
[[nodiscard]] bool is_never_connection_option(std::string_view name);

// RFC 9110 section 6.5.1: not framing, routing, request modifiers, authentication, control data of
// the response, or how to process the content.
[[nodiscard]] bool may_be_trailer(std::string_view name);

// Warder-…: ours, so nobody else's are passed on to a client.
[[nodiscard]] bool is_our_own(std::string_view name);

}  // namespace warder::http
