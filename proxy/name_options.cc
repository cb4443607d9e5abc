#include "proxy/name_options.h"

namespace warder::proxy {

net::NameResolverOptions name_options(const Config& config) {
  net::NameResolverOptions options;
  options.timeout = config.timeouts.dns;
  options.server = config.dns.server;
  options.max_in_flight = config.dns.max_in_flight;
  options.cache_entries = config.dns.cache_entries;
  options.max_ttl = config.dns.max_ttl;
  return options;
}

}  // namespace warder::proxy
