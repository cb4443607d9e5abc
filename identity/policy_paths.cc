#include "identity/policy_paths.h"

#include <unordered_set>
#include <utility>

namespace warder::identity {

std::size_t PolicyPaths::set(std::vector<std::string> paths) {
  std::vector<std::string> kept;
  std::unordered_set<std::string> seen;
  std::size_t left_out = 0;
  for (std::string& path : paths) {
    const bool usable =
        path.starts_with('/') && path.size() <= kLongest && path.find('\0') == std::string::npos;
    if (!usable || kept.size() == kMost)
      ++left_out;
    else if (seen.insert(path).second)
      kept.push_back(std::move(path));
  }
  const std::lock_guard lock(mutex_);
  if (kept == paths_ && generation_ != 0) return left_out;
  paths_ = std::move(kept);
  generation_.fetch_add(1, std::memory_order_release);
  return left_out;
}

PolicyPaths::List PolicyPaths::list() const {
  const std::lock_guard lock(mutex_);
  return {generation_, paths_};
}

}  // namespace warder::identity
