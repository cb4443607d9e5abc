#include "identity/cgroup_path.h"

#include <algorithm>

namespace warder::identity {
namespace {

constexpr std::size_t kIdLength = 64;
// kernel/cgroup/cgroup.c, proc_cgroup_show
constexpr std::string_view kDeletedCgroup = " (deleted)";

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() < 10 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

void strip_suffix(std::string_view& text, std::string_view suffix) {
  if (text.ends_with(suffix)) text.remove_suffix(suffix.size());
}

// Calls `visit(component, end)`; `end` is where the component ends in `path`.
template <class Visit>
void for_each_component(std::string_view path, const Visit& visit) {
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) visit(path.substr(begin, end - begin), end);
    begin = end + 1;
  }
}

// Empty when the component is not named after a container.
std::string_view id_in(std::string_view component) {
  strip_suffix(component, ".scope");
  if (component.size() < kIdLength) return {};
  const std::string_view id = component.substr(component.size() - kIdLength);
  std::string_view before = component.substr(0, component.size() - kIdLength);
  if (!is_hex(id)) return {};
  if (before.empty()) return id;
  if (before.back() != '-' && before.back() != ':') return {};
  before.remove_suffix(1);
  return before.empty() || before.ends_with("conmon") ? std::string_view{} : id;
}

// 8-4-4-4-12 digits with `dash` between, or 32 digits.
bool is_pod_uid(std::string_view text, char dash) {
  if (text.size() == 32) return is_hex(text);
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool between = i == 8 || i == 13 || i == 18 || i == 23;
    if (between ? text[i] != dash : !is_hex(text.substr(i, 1))) return false;
  }
  return true;
}

std::optional<std::string> pod_uid_in(std::string_view component, bool below_kubepods) {
  component = component.substr(0, component.find(':'));
  if (below_kubepods && component.starts_with("pod") && is_pod_uid(component.substr(3), '-'))
    return std::string(component.substr(3));
  if (!component.ends_with(".slice")) return std::nullopt;
  strip_suffix(component, ".slice");
  const std::size_t at = component.rfind("-pod");
  if (at == std::string_view::npos || component.find("kubepods") > at) return std::nullopt;
  std::string uid(component.substr(at + 4));
  if (!is_pod_uid(uid, '_')) return std::nullopt;
  std::replace(uid.begin(), uid.end(), '_', '-');
  return uid;
}

}  // namespace

std::optional<CgroupLine> parse_cgroup_line(std::string_view line) {
  const std::size_t first = line.find(':');
  if (first == std::string_view::npos || !is_number(line.substr(0, first))) return std::nullopt;
  const std::size_t second = line.find(':', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  CgroupLine parsed{line.substr(first + 1, second - first - 1), line.substr(second + 1)};
  if (!parsed.path.starts_with('/')) return std::nullopt;
  strip_suffix(parsed.path, kDeletedCgroup);
  return parsed;
}

std::vector<ContainerComponent> containers_in(std::string_view path) {
  std::vector<ContainerComponent> found;
  for_each_component(path, [&](std::string_view component, std::size_t end) {
    const std::string_view id = id_in(component);
    if (!id.empty()) found.push_back({id, end});
  });
  return found;
}

std::optional<std::string> pod_in(std::string_view path) {
  std::optional<std::string> innermost;
  bool below_kubepods = false;
  for_each_component(path, [&](std::string_view component, std::size_t) {
    if (auto uid = pod_uid_in(component, below_kubepods)) innermost = std::move(uid);
    below_kubepods |= component.starts_with("kubepods");
  });
  return innermost;
}

CgroupFacts parse_cgroup_facts(std::string_view text) {
  CgroupFacts facts;
  std::size_t most = 0;
  bool contradicted = false;
  for_each_cgroup_line(text, [&](const CgroupLine& line) {
    const auto containers = containers_in(line.path);
    if (containers.size() < most) return;
    auto pod = pod_in(line.path);
    if (containers.empty()) {
      if (pod && !facts.pod) facts.pod = std::move(pod);
      return;
    }
    const std::string_view id = containers.back().id;
    if (containers.size() > most) {
      most = containers.size();
      contradicted = false;
      facts = {std::string(id), std::move(pod)};
    } else if (facts.container != id) {
      contradicted = true;
    } else if (pod && !facts.pod) {
      facts.pod = std::move(pod);
    }
  });
  return contradicted ? CgroupFacts{} : facts;
}

}  // namespace warder::identity
