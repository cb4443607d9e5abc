#include "identity/path_way.h"

#include <fcntl.h>

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "identity/proc_fs.h"
#include "tests/support/proc_tree.h"

namespace warder::identity {
namespace {

struct Ways {
  testing::ProcTree tree;
  net::UniqueFd root;

  Ways() {
    tree.write("root/usr/bin/python3.11", "python");
    root = std::move(*open_directory(AT_FDCWD, tree.path("root")));
  }
  void link(const std::string& at, const std::string& target) const {
    tree.link("root" + at, target);
  }
  // "a -> b, c -> d: file", or the code of the error.
  [[nodiscard]] std::string follow(const std::string& path) const {
    const auto way = follow_path(root.get(), path);
    const auto kernel = file_id_in_root(root.get(), path, PathLookup::whole, Links::followed);
    CHECK(way.has_value() == kernel.has_value());
    if (!way) return "error " + std::to_string(way.error().sys_errno);
    CHECK(way->state.id == *kernel);
    std::string text;
    for (const PathWay::Link& link : way->links) text += link.at + " -> " + link.target + ", ";
    return text + way->file;
  }
};

}  // namespace

TEST_CASE("a path is followed link by link", "[identity]") {
  Ways ways;
  ways.link("/usr/bin/python3", "python3.11");
  ways.link("/usr/bin/python", "/etc/alternatives/python");
  ways.link("/etc/alternatives/python", "../../usr/bin/python3");
  ways.link("/bin", "usr/bin");
  CHECK(ways.follow("/usr/bin/python3.11") == "/usr/bin/python3.11");
  CHECK(ways.follow("//usr/./bin///python3.11") == "/usr/bin/python3.11");
  CHECK(ways.follow("/usr/bin/python3") == "/usr/bin/python3 -> python3.11, /usr/bin/python3.11");
  CHECK(ways.follow("/bin/python3") ==
        "/bin -> usr/bin, /usr/bin/python3 -> python3.11, /usr/bin/python3.11");
  CHECK(ways.follow("/usr/bin/python") ==
        "/usr/bin/python -> /etc/alternatives/python, "
        "/etc/alternatives/python -> ../../usr/bin/python3, "
        "/usr/bin/python3 -> python3.11, /usr/bin/python3.11");
  CHECK(ways.follow("/") == "/");
  CHECK(ways.follow("/usr/..") == "/");
}

TEST_CASE("no link and no dot leads out of the root", "[identity]") {
  Ways ways;
  ways.tree.write("outside", "outside");
  ways.link("/up", "../../../../outside");
  ways.link("/absolute", ways.tree.path("outside"));
  ways.link("/in", "../../usr/bin/python3.11");
  CHECK(ways.follow("/up") == "error 2");
  CHECK(ways.follow("/absolute") == "error 2");
  CHECK(ways.follow("/../../../outside") == "error 2");
  CHECK(ways.follow("/in") == "/in -> ../../usr/bin/python3.11, /usr/bin/python3.11");
}

TEST_CASE("what can't be followed is an error", "[identity]") {
  Ways ways;
  ways.link("/loop", "loop");
  ways.link("/dangling", "nowhere");
  ways.link("/last", "usr/bin/python3.11");
  for (int i = 0; i < 40; ++i)
    ways.link("/" + std::to_string(i), i == 0 ? "last" : std::to_string(i - 1));
  CHECK(ways.follow("/loop") == "error 40");
  CHECK(ways.follow("/dangling") == "error 2");
  CHECK(ways.follow("/usr/bin/nothing") == "error 2");
  CHECK(ways.follow("/usr/bin/python3.11/x") == "error 20");
  CHECK(ways.follow("/" + std::string(300, 'x')) == "error 36");
  CHECK(ways.follow("/38").ends_with("/usr/bin/python3.11"));
  CHECK(ways.follow("/39") == "error 40");
}

}  // namespace warder::identity
