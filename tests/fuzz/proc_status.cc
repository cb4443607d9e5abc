#include <cstddef>
#include <cstdint>
#include <string>

#include "identity/proc_files.h"
#include "require.h"

namespace identity = warder::identity;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto status = identity::parse_status(text)) {
    REQUIRE_THAT(text.find("Uid:") != std::string::npos);
    REQUIRE_THAT(text.find("Gid:") != std::string::npos);
    REQUIRE_THAT(status->tracer >= 0);
    // A process's name is on a line of its own.
    const auto named = identity::parse_status("Name:\tUid: 0 0 0 0\n" + text);
    REQUIRE_THAT(named && named->uids == status->uids && named->groups == status->groups);
  }
  if (const auto tracer = identity::parse_status_tracer(text)) REQUIRE_THAT(*tracer >= 0);
  if (const auto pid = identity::parse_fdinfo_pid(text)) REQUIRE_THAT(*pid > 0);
  (void)identity::parse_status_capabilities(text);
  return 0;
}
