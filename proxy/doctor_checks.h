#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "identity/abilities.h"
#include "identity/host_resolver.h"
#include "net/result.h"
#include "opa-client/client.h"
#include "proxy/config.h"
#include "proxy/doctor.h"

namespace warder::proxy::doctor {

// The parts of examine(); each adds what it finds.

using Findings = std::vector<Finding>;

// What is read of a setting or a status at most.
inline constexpr std::size_t kSmallFile = std::size_t{64} * 1024;

// A process that stands for a configured sandbox.
struct SandboxProcess {
  std::string name;  // "container:4f5a…"
  pid_t pid = 0;
  uid_t uid = 0;
  std::vector<gid_t> groups;
  bool shares_network = false;  // it is in our own network namespace
};

// What has to be granted, in the terms of compose, systemd and Kubernetes. `capability` without
// "CAP_".
[[nodiscard]] std::string grant(const std::string& capability);

// doctor_host.cc. `proc` is where procfs is mounted.
void check_capabilities(const std::string& proc, bool discover, Findings& out);
void check_abilities(const identity::Abilities& abilities, Findings& out);
void check_view(const std::string& proc, Findings& out);
void check_hardening(const std::string& proc, Findings& out);
void check_descriptors(const Config& config, Findings& out);

// doctor_sandboxes.cc. `searched`: what a lookup said of each scope.
[[nodiscard]] std::vector<SandboxProcess> check_sandboxes(
    const std::string& proc, const std::vector<identity::ScopeResult>& searched, Findings& out);
// Runs `work` on a thread of its own, inside the network namespace of that process. Errors:
// not_permitted, system, and `work` has not run.
[[nodiscard]] Result<void> inside_network(const std::string& proc, pid_t pid,
                                          const std::function<void()>& work);

// doctor_services.cc
// Gives what was said of each scope.
std::vector<identity::ScopeResult> check_self(identity::Resolver& resolver, Findings& out);
void check_names(const Config& config, Findings& out);

// doctor_policy.cc
void check_opa(const Config& config, Findings& out);
// What `data.egress.problems` says, or why it can't be read.
void judge_problems(const Result<opa::Document>& document, Findings& out);

// doctor_opa.cc: whether others than Warder can rewrite the policy.
void check_write_api(const Config& config, const opa::Address& address,
                     const std::vector<SandboxProcess>& sandboxes, Findings& out);

}  // namespace warder::proxy::doctor
