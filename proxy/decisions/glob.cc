#include "proxy/decisions/glob.h"

#include <cstddef>
#include <vector>

namespace warder::decisions {
namespace {

// After a star: everything reachable to the right, up to a separator if it must not cross one.
void spread(std::vector<char>& reached, std::string_view text, bool crosses, char separator) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (reached[i] != 0 && (crosses || text[i] != separator)) reached[i + 1] = 1;
  }
}

void step(std::vector<char>& reached, std::string_view text, char wanted) {
  for (std::size_t i = text.size(); i > 0; --i) {
    reached[i] = reached[i - 1] != 0 && text[i - 1] == wanted ? 1 : 0;
  }
  reached[0] = 0;
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text, char separator) {
  if (!is_glob(pattern)) return pattern == text;
  // reached[i]: the pattern so far matches the first i bytes.
  std::vector<char> reached(text.size() + 1, 0);
  reached[0] = 1;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '*') {
      step(reached, text, pattern[i]);
      continue;
    }
    const bool crosses = pattern.substr(i, 2) == "**";
    if (crosses) ++i;
    spread(reached, text, crosses, separator);
  }
  return reached[text.size()] != 0;
}

}  // namespace warder::decisions
