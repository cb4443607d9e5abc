#include "proxy/identity_options.h"

namespace warder::proxy {

identity::HostResolverOptions identity_options(const Config::Identity& config) {
  identity::HostResolverOptions options;
  options.proc_root = config.proc;
  options.sandboxes = config.sandboxes;
  options.listener_aliases = config.listener_aliases;
  options.max_waiting = config.queue;
  options.deadline = config.timeout;
  options.discover = config.discover;
  options.discover_user_namespaces = config.discover_user_namespaces;
  options.lookup = config.lookup;
  options.command_line = config.command_line;
  options.hash = {config.hash_enabled, config.hash_max_bytes, config.hash_timeout};
  return options;
}

}  // namespace warder::proxy
