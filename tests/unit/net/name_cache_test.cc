#include "net/name_cache.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

namespace warder::net {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

class NameCacheTest {
 protected:
  void remember(const std::string& name, std::uint8_t last, seconds good_for = seconds(10)) {
    cache.remember(name, std::vector<IpAddress>{IpAddress::v4({192, 0, 2, last})}, now + good_for);
  }
  // The last byte of its address; 0 when it is not there.
  int find(const std::string& name) {
    const NameCache::Answer* answer = cache.find(name);
    return answer == nullptr ? 0 : answer->value().at(0).bytes()[3];
  }

  nanoseconds now = seconds(50);
  NameCache cache{3, [this] { return now; }};
};

TEST_CASE_METHOD(NameCacheTest, "Name cache keeps an answer until its moment") {
  remember("a", 1);
  CHECK(find("a") == 1);
  CHECK(find("b") == 0);
  CHECK(find("A") == 0);
  now += seconds(10) - nanoseconds(1);
  CHECK(find("a") == 1);
  now += nanoseconds(1);
  CHECK(find("a") == 0);
  CHECK(cache.size() == 0);
}

TEST_CASE_METHOD(NameCacheTest,
                 "Name cache keeps nothing that is over, and forgets what it takes the place of") {
  remember("a", 1, seconds(0));
  remember("b", 1, seconds(-1));
  CHECK(cache.size() == 0);
  remember("a", 1);
  remember("a", 2);
  CHECK(find("a") == 2);
  CHECK(cache.size() == 1);
  remember("a", 3, seconds(0));
  CHECK(find("a") == 0);
}

TEST_CASE_METHOD(NameCacheTest, "Name cache keeps failures") {
  cache.remember("a", fail(Errc::name_not_found, "no"), now + seconds(1));
  const NameCache::Answer* answer = cache.find("a");
  REQUIRE(answer != nullptr);
  CHECK(answer->error().code == Errc::name_not_found);
}

TEST_CASE_METHOD(NameCacheTest, "Name cache that is full forgets what was used longest ago") {
  remember("a", 1);
  remember("b", 2);
  remember("c", 3);
  CHECK(find("a") == 1);
  remember("d", 4);
  CHECK(find("b") == 0);
  CHECK(find("a") == 1);
  CHECK(find("c") == 3);
  CHECK(find("d") == 4);
  CHECK(cache.size() == 3);
  NameCache none(0, [this] { return now; });
  none.remember("a", std::vector<IpAddress>{IpAddress()}, now + seconds(1));
  CHECK(none.find("a") == nullptr);
}

TEST_CASE_METHOD(NameCacheTest, "Name cache that is cleared is as good as new") {
  remember("a", 1);
  remember("b", 2);
  cache.clear();
  CHECK(find("a") == 0);
  CHECK(cache.size() == 0);
  remember("a", 3);
  CHECK(find("a") == 3);
}

}  // namespace
}  // namespace warder::net
