#include "identity/path_way.h"

#include <fcntl.h>

#include <cerrno>
#include <string_view>
#include <utility>

#include "identity/proc_fs.h"

namespace warder::identity {
namespace {

// path_resolution(7).
constexpr std::size_t kMostLinks = 40;

// The last one first.
void push_components(std::string_view path, std::vector<std::string>& onto) {
  std::size_t end = path.size();
  while (end > 0) {
    const std::size_t slash = path.rfind('/', end - 1);
    const std::size_t begin = slash == std::string_view::npos ? 0 : slash + 1;
    if (begin < end) onto.emplace_back(path.substr(begin, end - begin));
    if (slash == std::string_view::npos) return;
    end = slash;
  }
}

// Follows one component; links go onto `ahead`.
Result<void> take_step(int root, const std::string& name, PathWay& way,
                       std::vector<std::string>& ahead) {
  if (name == ".") return {};
  if (name == "..") {
    way.file.resize(way.file.empty() ? 0 : way.file.rfind('/'));
    return {};
  }
  const std::string at = way.file + "/" + name;
  const auto fd = open_in_root(root, at, PathLookup::whole, Links::last_kept);
  if (!fd) return fail(fd.error());
  const auto state = file_state(fd->get(), "", AT_EMPTY_PATH, at.c_str());
  if (!state) return fail(state.error());
  if (!state->link) {
    way.file = at;
    return {};
  }
  auto target = read_link(fd->get(), "");
  if (!target) return fail(std::move(target.error()));
  if (way.links.size() == kMostLinks) return fail(from_errno(ELOOP, at));
  push_components(*target, ahead);
  if (target->starts_with('/')) way.file.clear();
  way.links.push_back({at, std::move(*target), *state});
  return {};
}

}  // namespace

Result<PathWay> follow_path(int root, const std::string& path) {
  PathWay way;
  std::vector<std::string> ahead;
  push_components(path, ahead);
  while (!ahead.empty()) {
    const std::string name = std::exchange(ahead.back(), {});
    ahead.pop_back();
    if (auto step = take_step(root, name, way, ahead); !step) return fail(std::move(step.error()));
  }
  // Not "=": g++ 12 warns of that when it optimises (its bug 105651).
  if (way.file.empty()) way.file += '/';
  const auto fd = open_in_root(root, way.file);
  if (!fd) return fail(fd.error());
  const auto state = file_state(fd->get(), "", AT_EMPTY_PATH, way.file.c_str());
  if (!state) return fail(state.error());
  way.state = *state;
  return way;
}

}  // namespace warder::identity
