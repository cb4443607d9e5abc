#include "proxy/request_id.h"

#include <catch2/catch_test_macros.hpp>
#include <set>
#include <string>
#include <thread>

namespace warder::proxy {
namespace {

TEST_CASE("request ids: 32 digits, and none twice") {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(new_request_id());
  std::set<std::string> others;
  std::thread([&] {
    for (int i = 0; i < 1000; ++i) others.insert(new_request_id());
  }).join();
  ids.merge(others);
  CHECK(ids.size() == 2000);
  for (const std::string& id : ids) {
    CHECK(id.size() == 32);
    CHECK(id.find_first_not_of("0123456789abcdef") == std::string::npos);
  }
}

}  // namespace
}  // namespace warder::proxy
