#include "identity/image_access.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>

#include "identity/proc_fs.h"
#include "tests/support/proc_tree.h"

namespace warder::identity {
namespace {

constexpr std::uint64_t kOverride = 1U << 1U;  // CAP_DAC_OVERRIDE
constexpr std::uint64_t kOwner = 1U << 3U;     // CAP_FOWNER

ProcStatus user(uid_t uid, gid_t gid, std::vector<gid_t> groups = {}) {
  ProcStatus status;
  status.uids = {uid, uid, uid, uid};
  status.gids = {gid, gid, gid, gid};
  status.groups = std::move(groups);
  return status;
}

ProcStatus with(ProcStatus status, std::uint64_t capabilities) {
  status.capabilities = capabilities;
  return status;
}

}  // namespace

TEST_CASE("who may write to a file", "[identity]") {
  const Permissions program{0755, 0, 0};
  CHECK_FALSE(may_write(program, user(1000, 1000), true));
  CHECK(may_write(program, user(0, 1000), true));  // it could change the mode
  CHECK(may_write({0555, 1000, 0}, user(1000, 1000), true));
  CHECK(may_write({0775, 0, 50}, user(1000, 50), true));
  CHECK(may_write({0775, 0, 50}, user(1000, 1000, {4, 50}), true));
  CHECK_FALSE(may_write({0775, 0, 50}, user(1000, 1000, {4}), true));
  CHECK(may_write({0757, 0, 0}, user(1000, 1000), true));
  CHECK_FALSE(may_write({0757, 0, 50}, user(1000, 50), true));  // members count as members
  // By what it may become.
  ProcStatus saved = user(1000, 1000);
  saved.uids[2] = 0;
  CHECK(may_write(program, saved, true));
  saved = user(1000, 1000);
  saved.gids[2] = 50;
  CHECK(may_write({0775, 0, 50}, saved, true));
  CHECK(may_write(program, with(user(1000, 1000), kOverride), true));
  CHECK(may_write(program, with(user(1000, 1000), kOwner), true));
  CHECK_FALSE(may_write(program, with(user(1000, 1000), kOverride), false));
  CHECK_FALSE(may_write(program, with(user(1000, 1000), ~(kOverride | kOwner)), true));
}

TEST_CASE("who may put another file in a directory into one's place", "[identity]") {
  const Permissions shared{01777, 0, 0}, others{0755, 0, 0}, own{0755, 1000, 0};
  CHECK_FALSE(may_replace(shared, others, user(1000, 1000), true));
  CHECK(may_replace(shared, own, user(1000, 1000), true));
  CHECK(may_replace({0777, 0, 0}, others, user(1000, 1000), true));
  CHECK(may_replace({01755, 1000, 0}, others, user(1000, 1000), true));
  CHECK(may_replace(shared, others, with(user(1000, 1000), kOwner), true));
  CHECK_FALSE(may_replace(shared, others, with(user(1000, 1000), kOverride), true));
}

TEST_CASE("a path can be changed in every directory on its way", "[identity]") {
  if (::getuid() != 0) SKIP("NOT TESTED: files of other users need root");
  const testing::ProcTree tree;
  tree.write("root/opt/tools/bin/curl", "curl");
  const net::UniqueFd root = std::move(*open_directory(AT_FDCWD, tree.path("root")));
  const auto change = [&](const ProcStatus& who) {
    return may_change_path(root.get(), "/opt/tools/bin/curl", who, true);
  };
  CHECK_FALSE(change(user(1000, 1000)));
  CHECK(change(user(0, 0)));
  const auto own = [&](const char* below) {
    REQUIRE(::chown(tree.path(below).c_str(), 1000, 0) == 0);
  };
  SECTION("the file") { own("root/opt/tools/bin/curl"); }
  SECTION("its directory") { own("root/opt/tools/bin"); }
  SECTION("one above") { own("root/opt"); }
  SECTION("the root") { own("root"); }
  SECTION("everybody's") { REQUIRE(::chmod(tree.path("root/opt/tools").c_str(), 0777) == 0); }
  SECTION("it is not there any more") { tree.remove("root/opt/tools/bin"); }
  CHECK(change(user(1000, 1000)));
}

TEST_CASE("what lies above the root doesn't matter", "[identity]") {
  if (::getuid() != 0) SKIP("NOT TESTED: files of other users need root");
  const testing::ProcTree tree;
  tree.write("a/root/curl", "curl");
  REQUIRE(::chown(tree.path("a").c_str(), 1000, 0) == 0);
  const net::UniqueFd root = std::move(*open_directory(AT_FDCWD, tree.path("a/root")));
  CHECK_FALSE(may_change_path(root.get(), "/curl", user(1000, 1000), true));
  CHECK_FALSE(may_change_file(root.get(), "curl", user(1000, 1000), true));
  REQUIRE(::chown(tree.path("a/root/curl").c_str(), 1000, 0) == 0);
  CHECK(may_change_path(root.get(), "/curl", user(1000, 1000), true));
  CHECK(may_change_file(root.get(), "curl", user(1000, 1000), true));
  CHECK(may_change_file(root.get(), "nowhere", user(1000, 1000), true));
}

TEST_CASE("a link is changed where it stands, whatever its own mode says", "[identity]") {
  if (::getuid() != 0) SKIP("NOT TESTED: files of other users need root");
  const testing::ProcTree tree;
  tree.write("root/opt/bin/curl", "curl");
  tree.link("root/opt/bin/link", "curl");
  const net::UniqueFd root = std::move(*open_directory(AT_FDCWD, tree.path("root")));
  const auto change = [&] {
    return may_change_link(root.get(), "/opt/bin/link", user(1000, 1000), true);
  };
  CHECK_FALSE(change());
  REQUIRE(::chmod(tree.path("root/opt/bin").c_str(), 01777) == 0);
  CHECK_FALSE(change());
  SECTION("its directory") { REQUIRE(::chmod(tree.path("root/opt/bin").c_str(), 0777) == 0); }
  SECTION("one above") { REQUIRE(::chmod(tree.path("root/opt").c_str(), 0777) == 0); }
  SECTION("its own") { REQUIRE(::lchown(tree.path("root/opt/bin/link").c_str(), 1000, 1000) == 0); }
  SECTION("it is not there any more") { tree.remove("root/opt/bin/link"); }
  CHECK(change());
}

}  // namespace warder::identity
