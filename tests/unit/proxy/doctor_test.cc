#include "proxy/doctor.h"

#include <rapidjson/document.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "proxy/doctor_checks.h"

namespace warder::proxy {
namespace {

// As much of procfs as the doctor reads.
class ProcSketch {
 public:
  ProcSketch() { REQUIRE(::mkdtemp(root_.data()) != nullptr); }
  ProcSketch(const ProcSketch&) = delete;
  ProcSketch& operator=(const ProcSketch&) = delete;
  ~ProcSketch() { std::filesystem::remove_all(root_); }

  void file(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = root_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void link(const std::string& name, const std::string& target) const {
    const std::filesystem::path path = root_ + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::filesystem::create_symlink(target, path);
  }
  [[nodiscard]] const std::string& root() const { return root_; }

 private:
  std::string root_ = "/tmp/warder-doctor-XXXXXX";
};

Health hardening(const ProcSketch& proc, const std::string& check) {
  std::vector<Finding> findings;
  doctor::check_hardening(proc.root(), findings);
  const auto found = std::find_if(findings.begin(), findings.end(),
                                  [&](const Finding& one) { return one.check == check; });
  REQUIRE(found != findings.end());
  CHECK((found->health == Health::ok) == found->remedy.empty());
  return found->health;
}

}  // namespace

TEST_CASE("a finding is one printable line, and the worst one counts") {
  const std::vector<Finding> findings{
      {Health::ok, "dns", "it answers", {}},
      {Health::warning, "sandbox", "pid:1\n\x1b[2J", "start it"},
  };
  CHECK(as_text(findings) ==
        "ok    dns: it answers\nwarn  sandbox: pid:1\\x0a\\x1b[2J; to do: start it\n");
  CHECK(worst(findings) == Health::warning);
  CHECK(worst({{Health::failed, "opa", "x", {}}, findings[0]}) == Health::failed);
  CHECK(as_text({{Health::failed, "opa", "x", {}}}) == "FAIL  opa: x\n");
  rapidjson::Document json;
  json.Parse(as_json(findings).c_str());
  REQUIRE_FALSE(json.HasParseError());
  CHECK(std::string(json["result"].GetString()) == "warn");
  CHECK(std::string(json["findings"][1]["to_do"].GetString()) == "start it");
}

TEST_CASE("a capability that is missing is named in everybody's terms") {
  const ProcSketch proc;
  proc.file("self/status", "Name:\twarder\nCapEff:\t0000000000080004\n");
  std::vector<Finding> findings;
  doctor::check_capabilities(proc.root(), false, findings);
  const std::string text = as_text(findings);
  CAPTURE(text);
  CHECK(text.find("ok    capabilities: CAP_SYS_PTRACE is effective") != std::string::npos);
  CHECK(text.find("ok    capabilities: CAP_DAC_READ_SEARCH is effective") != std::string::npos);
  CHECK(text.find("warn  capabilities: CAP_BPF is not effective: recording who connects, and "
                  "counting references; to do: grant CAP_BPF (compose: cap_add: [BPF]; systemd: "
                  "AmbientCapabilities=CAP_BPF; Kubernetes: securityContext.capabilities.add: "
                  "[BPF])") != std::string::npos);
  // Nothing is discovered, so nobody's mount namespace is entered.
  CHECK(text.find("CAP_SYS_CHROOT") == std::string::npos);
  proc.file("self/status", "CapEff:\t0000000000200000\n");
  findings.clear();
  doctor::check_capabilities(proc.root(), true, findings);
  CHECK(as_text(findings).find("warn  capabilities: CAP_SYS_CHROOT is not effective") !=
        std::string::npos);
  CHECK(as_text(findings).find("ok    capabilities: CAP_SYS_ADMIN stands for CAP_BPF") !=
        std::string::npos);
  CHECK(as_text(findings).find("warn  capabilities: CAP_SYS_PTRACE is not effective") !=
        std::string::npos);
  findings.clear();
  doctor::check_capabilities("/nonexistent", false, findings);
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].health == Health::failed);
}

TEST_CASE("an ability that is missing says what is done instead, and whom to give what") {
  std::vector<Finding> findings;
  doctor::check_abilities(
      {{"sock_diag", true, {}, {}},
       {"reference_count", false, "CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN) not effective",
        "nothing is proven"}},
      findings);
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].health == Health::ok);
  CHECK(findings[1].health == Health::warning);
  CHECK(findings[1].what ==
        "reference_count does not work: CAP_BPF and CAP_PERFMON (or CAP_SYS_ADMIN) not effective; "
        "instead: nothing is proven");
  CHECK(findings[1].remedy == "grant CAP_BPF and CAP_PERFMON: see capabilities");
}

TEST_CASE("mistakes that OPA finds in the policy are listed") {
  const auto judged = [](const Result<opa::Document>& document) {
    std::vector<Finding> findings;
    doctor::judge_problems(document, findings);
    return findings;
  };
  const std::string error = R"({"path":"a/b","problem":"b is not a key","severity":"error"})";
  const std::string warning = R"({"path":"a/c","problem":"is there twice","severity":"warning"})";

  CHECK(as_text(judged(opa::Document{"[" + warning + "," + error + "]"})) ==
        "FAIL  policy: a/b: b is not a key; to do: warder policy check tells the file and line\n");
  std::string many = error;
  for (int i = 0; i < 24; ++i) many += "," + error;
  const auto listed = judged(opa::Document{"[" + many + "]"});
  REQUIRE(listed.size() == 21);
  CHECK(listed.back().what == "5 mistakes more");
  CHECK(listed.back().health == Health::failed);

  CHECK(as_text(judged(opa::Document{"[]"})) ==
        "ok    policy: OPA finds no mistakes in the policy\n");
  const auto warned = judged(opa::Document{"[" + warning + "]"});
  REQUIRE(warned.size() == 1);
  CHECK(warned[0].health == Health::ok);
  CHECK(warned[0].what.find("warns of 1") != std::string::npos);

  CHECK(judged(opa::Document{}).empty());
  for (const char* odd : {"{}", "7", "nothing"})
    CHECK(worst(judged(opa::Document{odd})) == Health::warning);
  CHECK(worst(judged(opa::Document{"[1, {}]"})) == Health::failed);
  const auto refused = judged(fail(Errc::opa_status, "401 unauthorized"));
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].health == Health::warning);
  CHECK(refused[0].what.find("401 unauthorized") != std::string::npos);
}

TEST_CASE("settings that weaken what a path says are told") {
  const ProcSketch open;
  open.file("sys/user/max_user_namespaces", "96364\n");
  open.file("sys/kernel/yama/ptrace_scope", "0\n");
  CHECK(hardening(open, "user_namespaces") == Health::warning);
  CHECK(hardening(open, "ptrace") == Health::warning);
  open.file("sys/kernel/unprivileged_userns_clone", "1\n");
  CHECK(hardening(open, "user_namespaces") == Health::warning);
  open.file("sys/kernel/unprivileged_userns_clone", "0\n");
  CHECK(hardening(open, "user_namespaces") == Health::ok);

  const ProcSketch closed;
  closed.file("sys/user/max_user_namespaces", "0\n");
  closed.file("sys/kernel/yama/ptrace_scope", "1\n");
  CHECK(hardening(closed, "user_namespaces") == Health::ok);
  CHECK(hardening(closed, "ptrace") == Health::ok);

  const ProcSketch without_yama;
  CHECK(hardening(without_yama, "ptrace") == Health::warning);
}

TEST_CASE("a PID namespace of its own and hidden processes are told") {
  const ProcSketch proc;
  proc.link("self/ns/pid", "pid:[4026532999]");
  std::vector<Finding> findings;
  doctor::check_view(proc.root(), findings);
  REQUIRE(findings.size() == 2);
  CHECK(findings[0].what.find("PID namespace of its own") != std::string::npos);
  CHECK(findings[0].remedy.find("hostPID: true") != std::string::npos);
  CHECK(findings[1].what.find("hidepid") != std::string::npos);

  const ProcSketch host;
  host.link("self/ns/pid", "pid:[4026531836]");
  host.file("1/stat", "");
  findings.clear();
  doctor::check_view(host.root(), findings);
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].health == Health::ok);
}

}  // namespace warder::proxy
