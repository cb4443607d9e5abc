#include "proxy/decisions/tally.h"

#include <catch2/catch_test_macros.hpp>
#include <map>
#include <random>
#include <string>

namespace warder::decisions {
namespace {

TEST_CASE("decisions: counts are exact while there is room") {
  Tally tally(3);
  for (const char* text : {"b", "a", "b", "c"}) tally.add(text);
  const auto top = tally.top(2);
  REQUIRE(top.size() == 2);
  CHECK(top[0].text == "b");
  CHECK(top[0].count == 2);
  CHECK(top[0].missing == 0);
  CHECK(top[1].text == "a");
  CHECK(tally.forgotten() == 0);
}

TEST_CASE("decisions: beyond that they keep what they promise") {
  Tally tally(64);
  std::map<std::string, std::uint64_t> exact;
  std::mt19937 random(7);  // NOLINT: a fixed seed is wanted
  std::geometric_distribution<int> often(0.02);
  for (int i = 0; i < 50'000; ++i) {
    const std::string text = std::to_string(often(random));
    tally.add(text);
    ++exact[text];
  }
  REQUIRE(exact.size() > 64);
  CHECK(tally.size() <= 64);
  CHECK(tally.forgotten() > 0);
  const auto top = tally.top(1000);
  for (const Tally::Count& found : top) {
    CAPTURE(found.text);
    CHECK(found.count <= exact[found.text]);
    CHECK(found.count + found.missing >= exact[found.text]);
    exact.erase(found.text);
  }
  for (const auto& [text, count] : exact) {
    CAPTURE(text);
    CHECK(count <= tally.forgotten());
  }
}

TEST_CASE("decisions: long texts count by their beginning") {
  Tally tally(10);
  tally.add(std::string(600, 'x') + "1");
  tally.add(std::string(600, 'x') + "2");
  CHECK(tally.size() == 1);
}

TEST_CASE("decisions: latencies") {
  Latencies none;
  CHECK(none.quantile(0.5) == 0);
  Latencies some;
  for (std::uint64_t i = 1; i <= 1000; ++i) some.add(i * 1000);
  CHECK(some.count() == 1000);
  CHECK(some.greatest() == 1'000'000);
  CHECK(some.quantile(1.0) == 1'000'000);
  for (const double part : {0.01, 0.5, 0.9, 0.99}) {
    CAPTURE(part);
    const auto found = static_cast<double>(some.quantile(part));
    CHECK(found >= part * 1e6);
    CHECK(found <= part * 1e6 * (1 + 1.0 / 15) + 1000);
  }
  Latencies extreme;
  extreme.add(0);
  extreme.add(UINT64_MAX);
  CHECK(extreme.quantile(0.5) == 0);
  CHECK(extreme.quantile(1.0) == UINT64_MAX);
}

}  // namespace
}  // namespace warder::decisions
