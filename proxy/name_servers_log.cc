#include "proxy/name_servers_log.h"

#include <fmt/format.h>

namespace warder::proxy {

void NameServersLog::tell(const net::NameServers& servers) {
  const std::lock_guard lock(mutex_);
  if (servers == told_) return;
  told_ = servers;
  if (servers.problem.empty()) {
    records_.write(Diagnostic{
        LogLevel::info,
        "name_servers",
        fmt::format("From now on names are asked of {}, as resolv.conf says.", servers.asked),
        {{"servers", servers.asked}}});
    return;
  }
  records_.write(Diagnostic{
      LogLevel::warn,
      "name_servers",
      fmt::format("resolv.conf is no good; names go on being asked of {}.", servers.asked),
      {{"servers", servers.asked}, {"detail", servers.problem}}});
}

}  // namespace warder::proxy
