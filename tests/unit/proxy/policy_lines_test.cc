#include "proxy/policy_lines.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "tests/support/proc_tree.h"

namespace warder::proxy {
namespace {

using Parts = std::vector<std::string>;

struct Policies {
  testing::ProcTree tree;

  // "file:line" below the tree, or "" where it was not found.
  std::string place(const std::string& path) const {
    std::vector<PolicyProblem> problems{{PolicyProblem::Severity::error, path, "wrong", "", 0}};
    locate(tree.root(), problems);
    if (problems[0].file.empty()) return {};
    return problems[0].file.substr(tree.root().size() + 1) + ":" + std::to_string(problems[0].line);
  }
};

constexpr std::string_view kWeb = R"(network_policies:
  web:
    endpoints:
      - host: a.example
        port: 443
      - { host: b.example, prot: 80 }
  "a/b":
    max_age: soon
)";

}  // namespace

TEST_CASE("a problem is shown where its key's value stands") {
  Policies policies;
  policies.tree.write("data.yaml", kWeb);
  CHECK(policies.place("network_policies/web/endpoints/0/port") == "data.yaml:5");
  CHECK(policies.place("network_policies/web/endpoints/1/prot") == "data.yaml:6");
  CHECK(policies.place("network_policies/a~1b/max_age") == "data.yaml:8");
  // What should be there, but isn't, in what should have it.
  CHECK(policies.place("network_policies/web/endpoints/1/port") == "data.yaml:6");
  CHECK(policies.place("network_policies/web/endpoints/7") == "data.yaml:4");
  CHECK(policies.place("nothing/of/this").empty());
}

TEST_CASE("the file that knows most of the path has the problem") {
  Policies policies;
  policies.tree.write("a.yaml", "network_policies:\n  other: {}\n");
  policies.tree.write("b.json", R"({"network_policies":
    {"web": {"max_age": -1}}})");
  policies.tree.write("network_policies/deep/data.yml", "max_age: x\n");
  policies.tree.write("network_policies/notes.txt", "web: 1\n");
  CHECK(policies.place("network_policies/web/max_age") == "b.json:2");
  CHECK(policies.place("network_policies/deep/max_age") == "network_policies/deep/data.yml:1");
}

TEST_CASE("files that can't be read are passed over") {
  Policies policies;
  policies.tree.write("broken.yaml", "network_policies: [1, {");
  policies.tree.write("list.yaml", "- 1\n");
  policies.tree.write("scalar.yaml", "7\n");
  policies.tree.write("empty.yaml", "");
  policies.tree.write("good.yaml", kWeb);
  CHECK(policies.place("network_policies/web/endpoints/0/port") == "good.yaml:5");
  std::vector<PolicyProblem> none;
  locate(policies.tree.path("not there"), none);
  CHECK(none.empty());
}

TEST_CASE("a key that stands twice is an error, wherever it is") {
  const Policies policies;
  policies.tree.write("data.yaml",
                      "network_policies:\n"
                      "  a/b: {max_age: 1, endpoints: [{host: x}, {host: y, port: 1, host: z}]}\n"
                      "  web: {}\n"
                      "  web: {}\n");
  policies.tree.write("network_policies/deep/data.json", R"({"a": 1, "a": 2})");
  const auto found = wrong_keys(policies.tree.root());
  REQUIRE(found.size() == 3);
  std::vector<std::string> places;
  for (const PolicyProblem& problem : found)
    places.push_back(problem.path + " " + std::to_string(problem.line));
  std::sort(places.begin(), places.end());
  CHECK(places == std::vector<std::string>{"network_policies/a~1b/endpoints/1/host 2",
                                           "network_policies/deep/a 1", "network_policies/web 4"});
  CHECK(found[0].severity == PolicyProblem::Severity::error);
}

TEST_CASE("policies that the package doesn't look at are warned of") {
  const Policies policies;
  policies.tree.write("data.yaml", "network_policies:\n  network_policies: {max_age: 1}\n");
  policies.tree.write("network_policies/more/data.yaml", "network_policies: {}\n");
  policies.tree.write("index.json", R"({"egress_index": {"policies": {"network_policies": {}}}})");
  policies.tree.write("team/data.yaml", "# ours\nnetwork_policies: {web: {}}\n");
  policies.tree.write("x.json", R"({"system": {"a/b":
    {"network_policies": {"web": {}}}}})");
  const auto found = wrong_keys(policies.tree.root());
  std::vector<std::string> places;
  for (const PolicyProblem& problem : found) {
    CHECK(problem.severity == PolicyProblem::Severity::warning);
    CHECK(problem.problem.find("these policies are not loaded") == 0);
    places.push_back(problem.file.substr(policies.tree.root().size() + 1) + ":" +
                     std::to_string(problem.line) + " " + problem.path);
  }
  std::sort(places.begin(), places.end());
  CHECK(places == std::vector<std::string>{"team/data.yaml:2 team/network_policies",
                                           "x.json:2 system/a~1b/network_policies"});
}

TEST_CASE(
    "keys that the package doesn't read are told, and more loudly where another one is meant") {
  const Policies policies;
  policies.tree.write("data.yaml",
                      "network_policies: {}\n"
                      "revision: r-1\n"
                      "egress_index: {revison: x}\n"
                      "system: {}\n"
                      "revison: r-1\n"
                      "network_policy: {}\n"
                      "Network_Policies: {}\n"
                      "egres_indx: {}\n"
                      "a/version: 1\n"
                      "policies: {}\n");
  policies.tree.write("limits/a.json", "{}");
  policies.tree.write("limits/b.json", "{}");
  policies.tree.write("network_polices/web.yaml", "endpoints: []\n");
  policies.tree.write("list.yaml", "- 1\n");
  std::vector<std::string> found;
  for (const PolicyProblem& problem : wrong_keys(policies.tree.root())) {
    const bool error = problem.severity == PolicyProblem::Severity::error;
    CHECK((problem.problem.find("meant?") != std::string::npos) == error);
    found.push_back((error ? "error " : "warning ") + problem.path + " " +
                    std::to_string(problem.line));
  }
  std::sort(found.begin(), found.end());
  CHECK(found == std::vector<std::string>{"error Network_Policies 7", "error egres_indx 8",
                                          "error network_polices 0", "error network_policy 6",
                                          "error revison 5", "warning a~1version 9",
                                          "warning limits 0", "warning policies 10"});
}

TEST_CASE("what is wrong is found beside many keys that nobody reads") {
  const Policies policies;
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "key" + std::to_string(i) + ": 1\n";
  policies.tree.write("data.yaml", text + "network_policies: {web: {}, web: {}}\n");
  const auto found = wrong_keys(policies.tree.root());
  REQUIRE_FALSE(found.empty());
  CHECK(found.size() <= 101);
  CHECK(found[0].path == "network_policies/web");
}

TEST_CASE("aliases don't make a search endless") {
  const Policies policies;
  std::string text = "network_policies:\n  a0: &a0 [x]\n";
  for (int i = 1; i < 60; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "  a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + before + ", " + before +
            "]\n";
  }
  policies.tree.write("data.yaml", text);
  CHECK(wrong_keys(policies.tree.root()).empty());
}

TEST_CASE("pointers are taken apart as RFC 6901 says") {
  CHECK(pointer_parts("").empty());
  CHECK(pointer_parts("a/0/b") == Parts{"a", "0", "b"});
  CHECK(pointer_parts("a~1b/c~0d/") == Parts{"a/b", "c~d", ""});
}

}  // namespace warder::proxy
