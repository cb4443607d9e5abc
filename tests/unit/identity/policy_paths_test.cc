#include "identity/policy_paths.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

namespace warder::identity {

TEST_CASE("paths that can't be looked up are left out and counted", "[identity]") {
  PolicyPaths paths;
  CHECK(paths.generation() == 0);
  const std::string longest = "/" + std::string(PolicyPaths::kLongest - 1, 'x');
  const std::size_t left_out = paths.set({"/usr/bin/curl", "usr/bin/curl", "", longest,
                                          longest + "x", std::string("/a\0b", 4), "/usr/bin/curl"});
  CHECK(left_out == 4);
  CHECK(paths.list().paths == std::vector<std::string>{"/usr/bin/curl", longest});
  CHECK(paths.list().generation == 1);
}

TEST_CASE("no more paths than there is room for", "[identity]") {
  PolicyPaths paths;
  std::vector<std::string> many;
  for (std::size_t i = 0; i < PolicyPaths::kMost + 3; ++i) many.push_back("/" + std::to_string(i));
  CHECK(paths.set(many) == 3);
  CHECK(paths.list().paths.size() == PolicyPaths::kMost);
  CHECK(paths.list().paths.back() == "/" + std::to_string(PolicyPaths::kMost - 1));
}

TEST_CASE("the same paths are no other list", "[identity]") {
  PolicyPaths paths;
  (void)paths.set({});
  CHECK(paths.generation() == 1);
  (void)paths.set({});
  CHECK(paths.generation() == 1);
  (void)paths.set({"/a"});
  CHECK(paths.generation() == 2);
  (void)paths.set({"/a"});
  CHECK(paths.generation() == 2);
}

}  // namespace warder::identity
