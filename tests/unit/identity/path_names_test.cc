#include "identity/path_names.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "identity/proc_fs.h"
#include "tests/support/proc_tree.h"

namespace warder::identity {
namespace {

using Names = std::vector<std::string>;

struct Named {
  testing::ProcTree tree;
  net::UniqueFd root;
  PolicyPaths paths;
  Effort effort;
  PathNames names{paths, &effort};

  Named() {
    tree.write("root/usr/bin/python3.11", "python");
    tree.write("root/usr/bin/curl", "curl");
    tree.link("root/usr/bin/python3", "python3.11");
    tree.link("root/bin", "usr/bin");
    root = std::move(*open_directory(AT_FDCWD, tree.path("root")));
    (void)paths.set({"/bin/curl", "/bin/python3", "/usr/bin/nothing", "/usr/bin/python3",
                     "/usr/bin/python3.11"});
  }
  [[nodiscard]] FileId image(const std::string& path) const {
    return *file_id(AT_FDCWD, tree.path("root" + path));
  }
  Names of(const std::string& path) { return names.of(root.get(), image(path)); }
  // nullopt where the look was given up.
  std::optional<Names> at_once(const FileId& image) {
    const Effort::AtOnce now(effort);
    Names found = names.of(root.get(), image);
    if (effort.gave_up()) return std::nullopt;
    return found;
  }
  std::optional<Names> at_once(const std::string& path) { return at_once(image(path)); }
  // Until the links are old enough for a change of theirs to show.
  void settle() {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!at_once("/usr/bin/python3.11") && std::chrono::steady_clock::now() < end)
      (void)of("/usr/bin/python3.11");
  }
  void relink(const std::string& at, const std::string& target) const {
    tree.link("root" + at, target);
  }
};

}  // namespace

TEST_CASE("a program has the names that lead to its image", "[identity]") {
  Named test;
  CHECK(test.of("/usr/bin/python3.11") ==
        Names{"/bin/python3", "/usr/bin/python3", "/usr/bin/python3.11"});
  CHECK(test.of("/usr/bin/curl") == Names{"/bin/curl"});
  CHECK(test.names.generation() == 1);
}

TEST_CASE("a hard link is a name, a copy is none", "[identity]") {
  Named test;
  std::filesystem::create_hard_link(test.tree.path("root/usr/bin/curl"),
                                    test.tree.path("root/usr/bin/git-alias"));
  std::filesystem::copy_file(test.tree.path("root/usr/bin/curl"),
                             test.tree.path("root/usr/bin/copy"));
  (void)test.paths.set({"/usr/bin/copy", "/usr/bin/git-alias"});
  CHECK(test.of("/usr/bin/curl") == Names{"/usr/bin/git-alias"});
  CHECK(test.of("/usr/bin/copy") == Names{"/usr/bin/copy"});
}

TEST_CASE("a link that leads out of the root gives no name to what is there", "[identity]") {
  Named test;
  test.tree.write("evil", "evil");
  test.relink("/usr/bin/out", "../../../evil");
  test.relink("/usr/bin/absolute", test.tree.path("evil"));
  (void)test.paths.set({"/usr/bin/absolute", "/usr/bin/out"});
  CHECK(test.names.of(test.root.get(), *file_id(AT_FDCWD, test.tree.path("evil"))).empty());
}

TEST_CASE("names of each root are its own", "[identity]") {
  Named test;
  test.tree.write("other/usr/bin/curl", "another curl");
  test.tree.link("other/bin", "usr/bin");
  const auto other = std::move(*open_directory(AT_FDCWD, test.tree.path("other")));
  const FileId theirs = *file_id(AT_FDCWD, test.tree.path("other/usr/bin/curl"));
  CHECK(test.names.of(other.get(), theirs) == Names{"/bin/curl"});
  CHECK(test.names.of(other.get(), test.image("/usr/bin/curl")).empty());
  CHECK(test.names.of(test.root.get(), theirs).empty());
  CHECK(test.of("/usr/bin/curl") == Names{"/bin/curl"});
}

TEST_CASE("at once nothing is looked up but what was found before", "[identity]") {
  Named test;
  CHECK_FALSE(test.at_once("/usr/bin/curl"));
  test.settle();
  CHECK(test.at_once("/usr/bin/python3.11") ==
        Names{"/bin/python3", "/usr/bin/python3", "/usr/bin/python3.11"});
  // An image that nothing is known of is looked for in full, once.
  test.tree.write("root/usr/bin/new", "new");
  CHECK_FALSE(test.at_once("/usr/bin/new"));
  CHECK(test.of("/usr/bin/new").empty());
  // Another list is taken over in full only.
  (void)test.paths.set({"/usr/bin/python3.11"});
  CHECK_FALSE(test.at_once("/usr/bin/python3.11"));
  CHECK(test.of("/usr/bin/python3.11") == Names{"/usr/bin/python3.11"});
  CHECK(test.names.generation() == 2);
}

TEST_CASE("without paths every look is at once", "[identity]") {
  Named test;
  const PolicyPaths none;
  PathNames names(none, &test.effort);
  const Effort::AtOnce now(test.effort);
  CHECK(names.of(test.root.get(), test.image("/usr/bin/curl")).empty());
  CHECK_FALSE(test.effort.gave_up());
}

TEST_CASE("a link that leads elsewhere now gives no name, not even at once", "[identity]") {
  Named test;
  test.settle();
  const FileId python = test.image("/usr/bin/python3.11");
  test.relink("/usr/bin/python3", "curl");
  CHECK_FALSE(test.at_once(python));
  CHECK(test.names.of(test.root.get(), python) == Names{"/usr/bin/python3.11"});
  // What the link leads to now has the name with the next look that finds it gone.
  CHECK(test.of("/usr/bin/curl") == Names{"/bin/curl", "/bin/python3", "/usr/bin/python3"});
}

TEST_CASE("another file in the place gives no name, not even at once", "[identity]") {
  Named test;
  test.settle();
  const FileId python = test.image("/usr/bin/python3.11");
  test.tree.write("root/other", "other");
  std::filesystem::rename(test.tree.path("root/other"), test.tree.path("root/usr/bin/python3.11"));
  CHECK_FALSE(test.at_once(python));
  CHECK(test.names.of(test.root.get(), python).empty());
  CHECK(test.of("/usr/bin/python3.11") ==
        Names{"/bin/python3", "/usr/bin/python3", "/usr/bin/python3.11"});
}

TEST_CASE("a directory on the way that becomes another gives no name", "[identity]") {
  Named test;
  test.settle();
  const FileId python = test.image("/usr/bin/python3.11");
  test.tree.write("root/elsewhere/python3", "not python");
  test.relink("/bin", "elsewhere");
  CHECK_FALSE(test.at_once(python));
  CHECK(test.names.of(test.root.get(), python) == Names{"/usr/bin/python3", "/usr/bin/python3.11"});
}

}  // namespace warder::identity
