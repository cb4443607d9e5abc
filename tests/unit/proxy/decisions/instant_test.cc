#include "proxy/decisions/instant.h"

#include <catch2/catch_test_macros.hpp>
#include <string_view>

namespace warder::decisions {
namespace {

constexpr std::int64_t kNow = 1795761000'000000000;

TEST_CASE("decisions: RFC 3339 times") {
  CHECK(parse_rfc3339("2026-11-27T06:30:00Z") == kNow);
  CHECK(parse_rfc3339("2026-11-27T06:30:00.000000001Z") == kNow + 1);
  CHECK(parse_rfc3339("2026-11-27T06:30:00.0000000019Z") == kNow + 1);
  CHECK(parse_rfc3339("2026-11-27t08:00:00.5+01:30") == kNow + 500'000'000);
  CHECK(parse_rfc3339("2026-11-27T05:30:00-01:00") == kNow);
  CHECK(parse_rfc3339("1970-01-01T00:00:00Z") == 0);
  CHECK(parse_rfc3339("2024-02-29T00:00:00Z"));
  CHECK(parse_rfc3339("2261-12-31T23:59:59.999999999Z"));
  for (const std::string_view text :
       {"", "2026-11-27", "2026-11-27T06:30:00", "2026-11-27T06:30Z", "2026-13-01T00:00:00Z",
        "2025-02-29T00:00:00Z", "2026-11-27T24:00:00Z", "2026-11-27T06:60:00Z",
        "2026-11-27T06:30:61Z", "2026-11-27T06:30:00.Z", "2026-11-27T06:30:00Zx",
        "2026-11-27T06:30:00+24:00", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+01:00",
        "2262-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "-026-11-27T06:30:00Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_rfc3339(text));
  }
}

TEST_CASE("decisions: what --since takes") {
  CHECK(parse_when("90s", kNow) == kNow - 90'000'000'000);
  CHECK(parse_when("15m", kNow) == kNow - 900'000'000'000);
  CHECK(parse_when("2h", kNow) == kNow - 7200'000'000'000);
  CHECK(parse_when("1d", kNow) == kNow - 86400'000'000'000);
  CHECK(parse_when("100000d", kNow) == 0);
  CHECK(parse_when("2026-11-27T06:30:00Z", 0) == kNow);
  CHECK(parse_when("2026-11-27", 0) == kNow - 23400'000'000'000);
  for (const std::string_view text : {"", "m", "5", "-5m", "5 m", "5w", "99999999999999999999s",
                                      "999999999999d", "now", "2026-11-27T06:30"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_when(text, kNow));
  }
}

TEST_CASE("decisions: times and durations for people") {
  CHECK(show_instant(kNow + 123'999'999) == "2026-11-27T06:30:00.123Z");
  CHECK(show_duration(999) == "999 ns");
  CHECK(show_duration(783'278) == "783.3 us");
  CHECK(show_duration(1'305'525) == "1.31 ms");
  CHECK(show_duration(2'000'000'000) == "2.00 s");
}

}  // namespace
}  // namespace warder::decisions
