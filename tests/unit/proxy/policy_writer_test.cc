#include "proxy/policy_writer.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <string>

#include "tests/support/proc_tree.h"

namespace warder::proxy {

TEST_CASE("users are numbers") {
  const auto both = parse_user("1000:100");
  REQUIRE(both);
  CHECK(both->name == "user 1000");
  CHECK(both->credentials.uids == std::array<uid_t, 4>{1000, 1000, 1000, 1000});
  CHECK(both->credentials.gids == std::array<gid_t, 4>{100, 100, 100, 100});
  CHECK_FALSE(both->capable);
  CHECK(both->note.empty());
  CHECK(parse_user("1000")->credentials.gids[0] == 1000);
  for (const char* text : {"", "root", "1000:", ":1", "-1", "1000:x", "99999999999"})
    CHECK_FALSE(parse_user(text));
}

TEST_CASE("the process whose root it is is who may change it") {
  const std::string process = "/proc/" + std::to_string(::getpid());
  for (const std::string& path : {process + "/root", process + "/root/", process + "//./root",
                                  std::string("/proc/self/root")}) {
    const auto writer = process_with_root(path);
    REQUIRE(writer);
    REQUIRE(writer->has_value());
    CHECK((*writer)->credentials.uids[0] == ::getuid());
    CHECK((*writer)->capable);
    CHECK((*writer)->note.find("for process " + std::to_string(::getpid())) != std::string::npos);
  }
}

TEST_CASE("another directory is no process's root") {
  const testing::ProcTree tree;
  tree.write("1/status", "Uid:\t5\t5\t5\t5\nGid:\t5\t5\t5\t5\n");
  tree.directory("1/root");
  for (const std::string& path : {tree.path("1/root"), std::string("/"), std::string("/proc"),
                                  std::string("/proc/1"), std::string("/proc/1/root/usr"),
                                  std::string("/proc/999999999/root"), std::string("root")}) {
    const auto writer = process_with_root(path);
    REQUIRE(writer);
    CHECK_FALSE(writer->has_value());
  }
}

}  // namespace warder::proxy
