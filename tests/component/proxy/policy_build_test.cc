#include <sys/stat.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "proxy/policy_check.h"
#include "proxy/program_output.h"
#include "tests/support/proc_tree.h"

namespace warder::testing {
namespace {

using proxy::run_program;

// A script that stands for OPA where the real one gives no such answers.
struct Builder {
  ProcTree tree;
  std::string out = tree.path("out");

  Builder() {
    tree.directory("package");
    tree.directory("policies");
  }
  void opa_says(const std::string& json, const std::string& then = "") const {
    tree.write("says.json", json);
    tree.write("opa", "#!/bin/sh\ncat " + tree.path("says.json") + "\n" + then + "\n");
    REQUIRE(::chmod(tree.path("opa").c_str(), 0755) == 0);
  }
  void opa_finds(const std::string& problems, const std::string& index) const {
    opa_says(
        R"({"result": [{"expressions": [{"value": {"known": [1], "loaded": [1], "binaries": [], "problems": )" +
        problems + R"(, "index": )" + index + "}}]}]}");
  }
  Result<proxy::BuiltPolicy> build() const {
    return proxy::build_policy({tree.path("policies"), tree.path("package"), tree.path("opa")},
                               out);
  }
  std::string written() const {
    std::ostringstream text;
    text << std::ifstream(out + "/data.json").rdbuf();
    return text.str();
  }
  std::size_t files() const {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(out)) count += entry.exists();
    return count;
  }
};

TEST_CASE("An index is written whole, in the place of the one before") {
  Builder builder;
  builder.opa_finds("[]", R"([{"revision": "one", "format": 1}])");
  const auto first = builder.build();
  REQUIRE(first);
  CHECK(first->revision == "one");
  CHECK(first->warnings.empty());
  CHECK(builder.written() == "{\"egress_index\":{\"revision\":\"one\",\"format\":1}}\n");
  builder.opa_finds(R"([{"path": "a", "problem": "b", "severity": "warning"}])",
                    R"([{"revision": "two"}])");
  builder.tree.write("policies/data.yaml", "network_policies: {}\na: 1\n");
  const auto second = builder.build();
  REQUIRE(second);
  CHECK(second->revision == "two");
  CHECK(proxy::lines_of(second->warnings) ==
        builder.tree.path("policies/data.yaml") + ":2: warning: a: b\n" +
            builder.tree.path("policies/data.yaml") +
            ":2: warning: a: the policy package doesn't read this key\n");
  CHECK(builder.written() == "{\"egress_index\":{\"revision\":\"two\"}}\n");
  CHECK(builder.files() == 1);
}

TEST_CASE("Nothing is written of policies with errors") {
  Builder builder;
  builder.opa_finds("[]", R"([{"revision": "one"}])");
  REQUIRE(builder.build());
  SECTION("that the package finds") {
    builder.opa_finds(R"([{"path": "a/b", "problem": "is wrong", "severity": "error"}])",
                      R"([{"revision": "two"}])");
    CHECK(builder.build().error().detail.find("a/b: is wrong") != std::string::npos);
  }
  SECTION("that OPA can't load") {
    builder.opa_says(R"({"errors": [{"message": "merge error"}]})", "exit 2");
    CHECK(builder.build().error().detail.find("merge error") != std::string::npos);
  }
  SECTION("that are not there") {
    builder.opa_says(
        R"({"result": [{"expressions": [{"value": {"known": [1], "loaded": [], "binaries": [],
            "problems": [], "index": [{"revision": "two"}]}}]}]})");
    CHECK(builder.build().error().detail.find("no policies are loaded") != std::string::npos);
  }
  SECTION("that give no index") {
    builder.opa_finds("[]", "[]");
    CHECK_FALSE(builder.build());
  }
  SECTION("where OPA says nothing") {
    builder.opa_says("", "echo no memory >&2; exit 3");
    CHECK(builder.build().error().detail.find("ended with 3: no memory") != std::string::npos);
  }
  CHECK(builder.written() == "{\"egress_index\":{\"revision\":\"one\"}}\n");
  CHECK(builder.files() == 1);
}

TEST_CASE("A directory that can't be written to is an error") {
  Builder builder;
  builder.opa_finds("[]", R"([{"revision": "one"}])");
  builder.tree.write("out", "a file");
  CHECK_FALSE(builder.build());
}

TEST_CASE("OPA that is not there is said so") {
  const Builder builder;
  const auto built = builder.build();
  REQUIRE_FALSE(built);
  CHECK(built.error().detail.find("install OPA, or name it by --opa") != std::string::npos);
}

TEST_CASE("A program's output and end are known") {
  const auto ran = run_program({"sh", "-c", "cat; echo out; echo err >&2; exit 3"});
  REQUIRE(ran);
  CHECK(ran->out == "out\n");
  CHECK(ran->err == "err\n");
  CHECK(ran->exit_code == 3);
  CHECK(run_program({"sh", "-c", "kill -9 $$"})->exit_code == 128 + 9);
  // More than a pipe holds, on both at once.
  const auto much =
      run_program({"sh", "-c", "head -c 300000 /dev/zero >&2; head -c 300000 /dev/zero"});
  REQUIRE(much);
  CHECK(much->out.size() == 300000);
  CHECK(much->err.size() == 300000);
  CHECK(run_program({"/no/such/program"}).error().code == Errc::not_found);
}

TEST_CASE("A program that writes or takes too much is ended") {
  const auto flood = run_program({"sh", "-c", "exec yes"}, {.bytes = 100000});
  REQUIRE_FALSE(flood);
  CHECK(flood.error().code == Errc::overloaded);
  const auto slow =
      run_program({"sh", "-c", "exec sleep 1000"}, {.time = std::chrono::milliseconds(50)});
  REQUIRE_FALSE(slow);
  CHECK(slow.error().code == Errc::overloaded);
}

}  // namespace
}  // namespace warder::testing
