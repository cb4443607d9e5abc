#include "net/resolv_conf.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include "require.h"

namespace net = warder::net;

// What is found says the same when it is written down, and no server comes from nowhere.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const net::ResolvConf found = net::parse_resolv_conf(text);
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  REQUIRE_THAT(found.servers.size() <= std::min<std::size_t>(lines, 3));
  REQUIRE_THAT(found.servers.empty() || text.find("nameserver") != std::string::npos);
  REQUIRE_THAT(!found.rotate || text.find("rotate") != std::string::npos);
  std::string written = found.rotate ? "options rotate\n" : "";
  for (const net::IpAddress& server : found.servers) {
    written += "nameserver " + server.text() + "\n";
  }
  REQUIRE_THAT(net::parse_resolv_conf(written) == found);
  return 0;
}
