#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/result.h"

namespace warder::decisions {

// Times as nanoseconds since 1970, UTC, without leap seconds.

// RFC 3339, with up to nine digits of a second and any offset. Nothing for what is no such time, or
// is before 1970 or after 2261.
[[nodiscard]] std::optional<std::int64_t> parse_rfc3339(std::string_view text);

// What --since and --until take: RFC 3339, a date (its beginning in UTC), or how long before `now`
// ("90s", "15m", "2h", "7d"). Errors: bad_config.
[[nodiscard]] Result<std::int64_t> parse_when(std::string_view text, std::int64_t now);

// "2026-11-27T06:30:00.123Z"
[[nodiscard]] std::string show_instant(std::int64_t time);

// "1.3 ms"
[[nodiscard]] std::string show_duration(std::uint64_t nanoseconds);

}  // namespace warder::decisions
