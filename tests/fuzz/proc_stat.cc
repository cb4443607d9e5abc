#include <cstddef>
#include <cstdint>
#include <string>

#include "identity/proc_files.h"
#include "require.h"

namespace identity = warder::identity;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto stat = identity::parse_stat(text);
  if (!stat) return 0;
  REQUIRE_THAT(stat->parent >= 0);
  const std::size_t name_end = text.rfind(')');
  REQUIRE_THAT(name_end != std::string::npos);
  // What the name is made of changes nothing.
  const auto renamed = identity::parse_stat("1 (x) y) S 1 2 3" + text.substr(name_end));
  REQUIRE_THAT(renamed && renamed->start_time == stat->start_time);
  REQUIRE_THAT(renamed->parent == stat->parent && renamed->state == stat->state);
  return 0;
}
