#include "identity/cgroup_path.h"

#include <catch2/catch_test_macros.hpp>

namespace warder::identity {
namespace {

const std::string kId = "4f5a1c0de9b8a7766554433221100ffeeddccbbaa99887766554433221100ff0";
const std::string kInner = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
const std::string kPod = "1f0d2a4c-6b1e-4c4e-9f0a-0d9a8b7c6d5e";

struct Line {
  const char* what;
  std::string text;
  std::optional<std::string> container;
  std::optional<std::string> pod;
};

const std::vector<Line> kLines = {
    {"docker, cgroupfs, version 1", "4:memory:/docker/" + kId, kId, {}},
    {"docker, cgroupfs, version 2", "0::/docker/" + kId, kId, {}},
    {"docker, systemd", "0::/system.slice/docker-" + kId + ".scope", kId, {}},
    {"docker, systemd, rootless",
     "0::/user.slice/user-1000.slice/user@1000.service/app.slice/docker-" + kId + ".scope",
     kId,
     {}},
    {"docker with a cgroup-parent", "0::/build.slice/docker-" + kId + ".scope", kId, {}},
    {"docker, systemd inside the container",
     "0::/system.slice/docker-" + kId + ".scope/system.slice/cron.service",
     kId,
     {}},
    {"docker in docker, cgroupfs", "0::/docker/" + kId + "/docker/" + kInner, kInner, {}},
    {"docker in docker, systemd outside",
     "0::/system.slice/docker-" + kId + ".scope/docker/" + kInner,
     kInner,
     {}},
    {"containerd, nerdctl", "0::/system.slice/nerdctl-" + kId + ".scope", kId, {}},
    {"containerd, its default namespace", "0::/default/" + kId, kId, {}},
    {"kubernetes, containerd, cgroupfs",
     "11:cpu,cpuacct:/kubepods/burstable/pod" + kPod + "/" + kId, kId, kPod},
    {"kubernetes, guaranteed", "0::/kubepods/pod" + kPod + "/" + kId, kId, kPod},
    {"kubernetes, containerd, systemd",
     "0::/kubepods.slice/kubepods-burstable.slice/"
     "kubepods-burstable-pod1f0d2a4c_6b1e_4c4e_9f0a_0d9a8b7c6d5e.slice/cri-containerd-" +
         kId + ".scope",
     kId, kPod},
    {"kubernetes, systemd, guaranteed",
     "0::/kubepods.slice/kubepods-pod1f0d2a4c_6b1e_4c4e_9f0a_0d9a8b7c6d5e.slice/crio-" + kId +
         ".scope",
     kId, kPod},
    {"kubernetes, containerd with cgroupfs under systemd's names",
     "7:pids:/system.slice/containerd.service/"
     "kubepods-besteffort-pod1f0d2a4c_6b1e_4c4e_9f0a_0d9a8b7c6d5e.slice:cri-containerd:" +
         kId,
     kId, kPod},
    {"kubernetes in kind",
     "0::/docker/" + kInner +
         "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/"
         "kubelet-kubepods-besteffort-pod1f0d2a4c_6b1e_4c4e_9f0a_0d9a8b7c6d5e.slice/"
         "cri-containerd-" +
         kId + ".scope",
     kId, kPod},
    {"kubernetes, a static pod",
     "0::/kubepods/burstable/pod0123456789abcdef0123456789abcdef/" + kId, kId,
     "0123456789abcdef0123456789abcdef"},
    {"kubernetes, the pod's own cgroup", "0::/kubepods/burstable/pod" + kPod, {}, kPod},
    {"cri-o, systemd", "0::/kubepods.slice/crio-" + kId + ".scope/container", kId, {}},
    {"cri-o, cgroupfs", "0::/kubepods/besteffort/pod" + kPod + "/crio-" + kId, kId, kPod},
    {"cri-o's monitor", "0::/kubepods/besteffort/pod" + kPod + "/crio-conmon-" + kId, {}, kPod},
    {"podman", "0::/machine.slice/libpod-" + kId + ".scope/container", kId, {}},
    {"podman, rootless",
     "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope",
     kId,
     {}},
    {"podman, cgroupfs", "0::/libpod_parent/libpod-" + kId, kId, {}},
    {"podman, in a pod of its own",
     "0::/machine.slice/machine-libpod_pod_" + kInner + ".slice/libpod-" + kId + ".scope",
     kId,
     {}},
    {"podman's monitor", "0::/machine.slice/libpod-conmon-" + kId + ".scope", {}, {}},
    {"podman's monitor, cgroupfs", "0::/libpod_parent/conmon", {}, {}},
    {"ecs", "9:perf_event:/ecs/0f9a8b7c6d5e4f3a2b1c/" + kId, kId, {}},
    {"a removed one", "0::/docker/" + kId + " (deleted)", kId, {}},
    {"a service", "0::/system.slice/ssh.service", {}, {}},
    {"the root", "0::/", {}, {}},
    {"a user's session", "1:name=systemd:/user.slice/user-0.slice/session-3.scope", {}, {}},
    {"outside of our cgroup namespace", "0::/../docker/" + kId, kId, {}},
    {"too short", "0::/docker/" + kId.substr(1), {}, {}},
    {"too long", "0::/docker/a" + kId, {}, {}},
    {"capital letters", "0::/docker/4F5A" + kId.substr(4), {}, {}},
    {"nothing before the dash", "0::/x/-" + kId, {}, {}},
    {"a pod's name elsewhere", "0::/my/pod" + kPod, {}, {}},
    {"a pod's name in a slice elsewhere",
     "0::/my-pod1f0d2a4c_6b1e_4c4e_9f0a_0d9a8b7c6d5e.slice",
     {},
     {}},
    {"no line at all", "", {}, {}},
    {"no path", "0::", {}, {}},
    {"no hierarchy", "::/docker/" + kId, {}, {}},
    {"a sign", "-1::/docker/" + kId, {}, {}},
    {"two fields", "0:/docker/" + kId, {}, {}},
};

}  // namespace

TEST_CASE("containers and pods of cgroup paths as they are found", "[identity]") {
  for (const Line& line : kLines) {
    INFO(line.what << ": " << line.text);
    for (const char* const newline : {"", "\n"}) {
      const CgroupFacts facts = parse_cgroup_facts(line.text + newline);
      CHECK(facts.container == line.container);
      CHECK(facts.pod == line.pod);
    }
  }
}

TEST_CASE("the hierarchies of version 1 are looked at together", "[identity]") {
  const std::string hybrid = "5:devices:/docker/" + kId + "\n4:memory:/docker/" + kId +
                             "\n1:name=systemd:/docker/" + kId + "\n0::/\n";
  CHECK(parse_cgroup_facts(hybrid) == CgroupFacts{kId, {}});
  // A container with a hierarchy of its own.
  CHECK(parse_cgroup_facts(hybrid + "0::/docker/" + kId + "/docker/" + kInner + "\n") ==
        CgroupFacts{kInner, {}});
  // Two that say different things.
  CHECK(parse_cgroup_facts(hybrid + "0::/docker/" + kInner + "\n") == CgroupFacts{});
  CHECK(parse_cgroup_facts("2:cpu:/kubepods/pod" + kPod + "\n1:memory:/docker/" + kId + "\n") ==
        CgroupFacts{kId, {}});
}

TEST_CASE("every container on the way, the outermost first", "[identity]") {
  const std::string path = "/system.slice/docker-" + kId + ".scope/docker/" + kInner + "/init";
  const auto found = containers_in(path);
  REQUIRE(found.size() == 2);
  CHECK(found[0].id == kId);
  CHECK(path.substr(0, found[0].end) == "/system.slice/docker-" + kId + ".scope");
  CHECK(found[1].id == kInner);
  CHECK(path.substr(0, found[1].end) == "/system.slice/docker-" + kId + ".scope/docker/" + kInner);
  CHECK(containers_in("").empty());
  CHECK(containers_in("///").empty());
}

TEST_CASE("a line's path may hold colons", "[identity]") {
  const auto line = parse_cgroup_line("3:cpu,cpuacct:/a:b/c");
  REQUIRE(line);
  CHECK(line->controllers == "cpu,cpuacct");
  CHECK(line->path == "/a:b/c");
}

}  // namespace warder::identity
