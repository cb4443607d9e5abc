#pragma once

#include <string>
#include <string_view>

#include "net/http/head.h"

namespace warder::proxy {

// The traceparent of the question about a request (W3C Trace Context): of the trace that the
// client's own header names, where there is exactly one and it is right, else of one that is named
// after the request's id. Empty when the id can't name one (32 hexadecimal digits, not all zero).
[[nodiscard]] std::string trace_parent(const http::RequestHead& head, std::string_view request_id);

}  // namespace warder::proxy
