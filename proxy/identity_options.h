#pragma once

#include "identity/host_resolver.h"
#include "proxy/config.h"

namespace warder::proxy {

// What the configuration says to identity/.
[[nodiscard]] identity::HostResolverOptions identity_options(const Config::Identity& config);

}  // namespace warder::proxy
