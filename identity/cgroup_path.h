#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warder::identity {

// What a cgroup's path tells of containers. Pure. The names are conventions of the runtimes, and
// whoever may make cgroups below a path may use them too: an id is where a process was put, not a
// proof of what it is.

// One line of /proc/<pid>/cgroup (cgroups(7)): "hierarchy:controllers:path". Views of the line.
struct CgroupLine {
  std::string_view controllers;  // "cpu,cpuacct", "name=systemd"; empty for version 2
  std::string_view path;         // begins with '/', without the " (deleted)" of a removed one
};
[[nodiscard]] std::optional<CgroupLine> parse_cgroup_line(std::string_view line);

// A component of a path that a runtime named after a container: its id (64 lower-case hexadecimal
// digits), bare or as in "docker-ID.scope", "cri-containerd-ID.scope", "crio-ID",
// "libpod-ID.scope", "NAME.slice:cri-containerd:ID". conmon's own cgroup ("crio-conmon-ID") is
// outside the container.
struct ContainerComponent {
  std::string_view id;
  std::size_t end = 0;  // the path up to here is the container's own cgroup
};
// From the outermost to the innermost.
[[nodiscard]] std::vector<ContainerComponent> containers_in(std::string_view path);

// The uid of the innermost Kubernetes pod: "kubepods/burstable/podUID", "…-podUID.slice" with '_'
// for each '-'. With dashes; a static pod's is 32 digits without.
[[nodiscard]] std::optional<std::string> pod_in(std::string_view path);

// Of the whole file. The line with the most containers counts: in a container with its own, some
// hierarchies may have only the outer one. Lines that contradict one another name none.
struct CgroupFacts {
  std::optional<std::string> container;  // the innermost one
  std::optional<std::string> pod;
  friend bool operator==(const CgroupFacts&, const CgroupFacts&) = default;
};
[[nodiscard]] CgroupFacts parse_cgroup_facts(std::string_view text);

// Calls `visit(CgroupLine)` for each line that has the form.
template <class Visit>
void for_each_cgroup_line(std::string_view text, const Visit& visit) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (const auto line = parse_cgroup_line(text.substr(0, end))) visit(*line);
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

}  // namespace warder::identity
