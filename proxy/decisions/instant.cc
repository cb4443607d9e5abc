#include "proxy/decisions/instant.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <ctime>

namespace warder::decisions {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kMinute = 60 * kSecond;
constexpr std::int64_t kHour = 60 * kMinute;
constexpr int kFirstYear = 1970;
constexpr int kLastYear = 2261;  // the last whole year that nanoseconds in 63 bits reach

// Reads digits and marks from the front of a text; stays failed once something is missing.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : left_(text) {}

  int digits(std::size_t count) {
    int value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      if (left_.empty() || left_.front() < '0' || left_.front() > '9') {
        good_ = false;
        return 0;
      }
      value = value * 10 + (left_.front() - '0');
      left_.remove_prefix(1);
    }
    return value;
  }
  bool take(std::string_view any) {
    if (left_.empty() || any.find(left_.front()) == std::string_view::npos) return false;
    left_.remove_prefix(1);
    return true;
  }
  void expect(std::string_view any) { good_ = take(any) && good_; }
  // Digits after a decimal point, as nanoseconds.
  std::int64_t fraction() {
    std::int64_t value = 0;
    std::int64_t unit = kSecond;
    while (!left_.empty() && left_.front() >= '0' && left_.front() <= '9') {
      unit /= 10;
      value += (left_.front() - '0') * unit;
      left_.remove_prefix(1);
    }
    good_ = good_ && unit < kSecond;
    return value;
  }
  [[nodiscard]] bool at_end() const { return left_.empty(); }
  [[nodiscard]] bool good() const { return good_; }

 private:
  std::string_view left_;
  bool good_ = true;
};

std::optional<std::int64_t> days(Cursor& cursor) {
  const int year = cursor.digits(4);
  cursor.expect("-");
  const int month = cursor.digits(2);
  cursor.expect("-");
  const int day = cursor.digits(2);
  if (!cursor.good() || year < kFirstYear || year > kLastYear) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

std::optional<std::int64_t> offset(Cursor& cursor) {
  if (cursor.take("Zz")) return 0;
  const bool east = cursor.take("+");
  if (!east) cursor.expect("-");
  const int hours = cursor.digits(2);
  cursor.expect(":");
  const int minutes = cursor.digits(2);
  if (!cursor.good() || hours > 23 || minutes > 59) return std::nullopt;
  const std::int64_t value = hours * kHour + minutes * kMinute;
  return east ? value : -value;
}

std::optional<std::int64_t> duration(std::string_view text) {
  if (text.size() < 2) return std::nullopt;
  std::int64_t unit = 0;
  switch (text.back()) {
    case 's': unit = kSecond; break;
    case 'm': unit = kMinute; break;
    case 'h': unit = kHour; break;
    case 'd': unit = 24 * kHour; break;
    default: return std::nullopt;
  }
  std::int64_t count = 0;
  const char* end = text.data() + text.size() - 1;
  const auto read = std::from_chars(text.data(), end, count);
  const bool whole = read.ec == std::errc() && read.ptr == end && count >= 0;
  if (!whole || count > INT64_MAX / unit) return std::nullopt;
  return count * unit;
}

}  // namespace

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
  Cursor cursor(text);
  const auto date = days(cursor);
  cursor.expect("Tt ");
  const int hour = cursor.digits(2);
  cursor.expect(":");
  const int minute = cursor.digits(2);
  cursor.expect(":");
  const int second = cursor.digits(2);
  const std::int64_t fraction = cursor.take(".") ? cursor.fraction() : 0;
  const auto east = offset(cursor);
  if (!date || !east || !cursor.good() || !cursor.at_end()) return std::nullopt;
  if (hour > 23 || minute > 59 || second > 60) return std::nullopt;  // 60: a leap second
  const std::int64_t time =
      *date * 24 * kHour + hour * kHour + minute * kMinute + second * kSecond + fraction - *east;
  if (time < 0) return std::nullopt;
  return time;
}

Result<std::int64_t> parse_when(std::string_view text, std::int64_t now) {
  if (const auto before = duration(text)) return *before < now ? now - *before : 0;
  if (const auto time = parse_rfc3339(text)) return *time;
  if (const auto time = parse_rfc3339(std::string(text) + "T00:00:00Z")) return *time;
  return fail(Errc::bad_config,
              fmt::format("\"{}\" is no time: 2026-11-27T06:30:00Z, 2026-11-27, or how long ago "
                          "(90s, 15m, 2h, 7d)",
                          text));
}

std::string show_instant(std::int64_t time) {
  const auto seconds = static_cast<std::time_t>(time / kSecond);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     time % kSecond / 1'000'000);
}

std::string show_duration(std::uint64_t nanoseconds) {
  const auto value = static_cast<double>(nanoseconds);
  if (nanoseconds < 1'000) return fmt::format("{} ns", nanoseconds);
  if (nanoseconds < 1'000'000) return fmt::format("{:.1f} us", value / 1e3);
  if (nanoseconds < 1'000'000'000) return fmt::format("{:.2f} ms", value / 1e6);
  return fmt::format("{:.2f} s", value / 1e9);
}

}  // namespace warder::decisions
