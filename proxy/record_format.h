#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "proxy/config.h"
#include "proxy/denial_summary.h"
#include "proxy/record.h"

namespace warder::proxy {

// Records as lines. JSON lines are ASCII with one object each, every key of a kind of record always
// present; text lines are `time LEVEL event key=value …` with what is null left out. Bytes that
// can't be shown are escaped (text_escape.h), overlong strings and lists are cut and say so.

struct Stamp {
  std::chrono::system_clock::time_point time;
  std::uint64_t seq = 0;
};

// Records that could not be written between two that were.
struct Dropped {
  std::uint64_t count = 0;
};

// allow is info, deny is warn, error is error: a refusal is visible at the default level.
[[nodiscard]] LogLevel level_of(const DecisionRecord& record);
[[nodiscard]] LogLevel level_of(const TunnelRecord& record);
[[nodiscard]] LogLevel level_of(const Diagnostic& record);
[[nodiscard]] LogLevel level_of(const RepeatedDenial& record);
[[nodiscard]] LogLevel level_of(const Dropped& record);

// Each ends with a line feed and has no other.
[[nodiscard]] std::string format(const Stamp& stamp, const DecisionRecord& record, LogFormat form);
[[nodiscard]] std::string format(const Stamp& stamp, const TunnelRecord& record, LogFormat form);
[[nodiscard]] std::string format(const Stamp& stamp, const Diagnostic& record, LogFormat form);
[[nodiscard]] std::string format(const Stamp& stamp, const RepeatedDenial& record, LogFormat form);
[[nodiscard]] std::string format(const Stamp& stamp, const Dropped& record, LogFormat form);

// "2026-11-27T06:30:00.000123Z"
[[nodiscard]] std::string rfc3339(std::chrono::system_clock::time_point time);

[[nodiscard]] const char* name(Kind kind);
[[nodiscard]] const char* name(ClosedBy side);

}  // namespace warder::proxy
