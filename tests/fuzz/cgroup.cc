#include <cstddef>
#include <cstdint>
#include <string>

#include "identity/cgroup_path.h"
#include "require.h"

namespace identity = warder::identity;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::size_t before = 0;
  for (const auto& container : identity::containers_in(text)) {
    REQUIRE_THAT(container.id.size() == 64);
    REQUIRE_THAT(container.end > before && container.end <= text.size());
    REQUIRE_THAT(container.id.data() >= text.data() + before);
    before = container.end;
  }
  if (const auto pod = identity::pod_in(text)) REQUIRE_THAT(pod->size() == 32 || pod->size() == 36);
  const auto facts = identity::parse_cgroup_facts(text);
  if (facts.container) REQUIRE_THAT(text.find(*facts.container) != std::string::npos);
  identity::for_each_cgroup_line(text, [&](const identity::CgroupLine& line) {
    REQUIRE_THAT(line.path.front() == '/' && line.path.find('\n') == std::string_view::npos);
  });
  return 0;
}
