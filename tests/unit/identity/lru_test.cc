#include "identity/lru.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

namespace warder::identity {

TEST_CASE("what was used longest ago makes room", "[identity]") {
  Lru<int, std::string> map(2);
  map.put(1, "one");
  map.put(2, "two");
  REQUIRE(map.find(1) != nullptr);
  map.put(3, "three");
  CHECK(map.find(2) == nullptr);
  REQUIRE(map.find(1) != nullptr);
  CHECK(*map.find(1) == "one");
  CHECK(map.put(3, "drei") == "drei");
  CHECK(*map.find(3) == "drei");
  CHECK(map.size() == 2);
}

}  // namespace warder::identity
