#include "events.h"

#include <fmt/format.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <memory>
#include <random>
#include <string_view>

namespace warder::bench {
namespace {

constexpr std::time_t kFirst = 1'795'000'000;  // seconds since 1970
constexpr std::size_t kEachSecond = 1000;

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// Puts `text` in place of the string after `key`, which has the same length.
void put(std::string& line, std::string_view key, const std::string& text) {
  const std::size_t at = line.find(key);
  if (at == std::string::npos) return;
  line.replace(at + key.size(), line.find('"', at + key.size()) - at - key.size(), text);
}

std::string time_of(std::size_t number) {
  const std::time_t seconds = kFirst + static_cast<std::time_t>(number / kEachSecond);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}000000Z", text.data(), number % kEachSecond);
}

}  // namespace

std::vector<std::string> decisions_in(const std::string& log) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < log.size();) {
    const std::size_t end = std::min(log.find('\n', begin), log.size());
    std::string line = log.substr(begin, end - begin);
    begin = end + 1;
    const bool decision = line.find("\"path\":\"egress/decision\"") != std::string::npos;
    if (decision && line.find("probe.invalid") == std::string::npos && line.ends_with('}'))
      lines.push_back(std::move(line));
  }
  return lines;
}

Result<std::string> repeat(const std::vector<std::string>& lines, std::size_t count,
                           const std::string& path) {
  const std::unique_ptr<std::FILE, Close> out(std::fopen(path.c_str(), "w"));
  if (!out) return fail(from_errno(errno, path));
  std::mt19937_64 random(1);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same file each time
  std::string middle;
  for (std::size_t i = 0; i < count; ++i) {
    std::string line = lines[i % lines.size()];
    const std::uint64_t high = random();
    const std::uint64_t low = random();
    const std::string digits = fmt::format("{:016x}{:016x}", high, low);
    const std::string uuid =
        fmt::format("{}-{}-{}-{}-{}", digits.substr(0, 8), digits.substr(8, 4),
                    digits.substr(12, 4), digits.substr(16, 4), digits.substr(20));
    put(line, "\"decision_id\":\"", uuid);
    put(line, "\"request_id\":\"", fmt::format("{:016x}{:016x}", low, high));
    put(line, "\"timestamp\":\"", time_of(i));
    line += '\n';
    if (i == count / 2) middle = uuid;
    if (std::fwrite(line.data(), 1, line.size(), out.get()) != line.size())
      return fail(from_errno(errno, path));
  }
  return middle;
}

}  // namespace warder::bench
