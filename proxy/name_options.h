#pragma once

#include "net/lookup.h"
#include "proxy/config.h"

namespace warder::proxy {

// How this process looks names up. Without on_lookup and on_servers.
[[nodiscard]] net::NameResolverOptions name_options(const Config& config);

}  // namespace warder::proxy
