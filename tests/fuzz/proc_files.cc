#include "identity/proc_files.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "require.h"

namespace identity = warder::identity;

// Every parser gets every text: none of them knows which file it came from.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (const auto row = identity::parse_socket_row(text)) {
    REQUIRE_THAT(row->local.address.is_v4() == row->remote.address.is_v4());
  }
  if (const auto inode = identity::parse_inode_link(text, "socket")) {
    REQUIRE_THAT(text.starts_with("socket:[") && text.ends_with("]"));
    REQUIRE_THAT(text.find(std::to_string(*inode)) != std::string::npos);
  }
  if (const auto pid = identity::parse_pid(text)) {
    REQUIRE_THAT(*pid > 0 && text == std::to_string(*pid));
  }
  if (const auto pid = identity::parse_pidfile(text)) {
    const std::string number = std::to_string(*pid);
    REQUIRE_THAT(*pid > 0 && (text == number || text == number + "\n"));
  }
  return 0;
}
