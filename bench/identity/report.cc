#include "report.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdio>
#include <optional>

namespace warder::bench {
namespace {

// Nearest rank.
double percentile(std::vector<double>& values, std::size_t percent) {
  std::sort(values.begin(), values.end());
  const std::size_t rank = (values.size() * percent + 99) / 100;
  return values[std::max<std::size_t>(rank, 1) - 1];
}

// nullptr: that row was not run.
const Row* find(const std::vector<Row>& rows, const std::string& axis, const std::string& value,
                Method method) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return row.method == method && row.scenario.axis == axis && row.scenario.value == value;
  });
  return found == rows.end() ? nullptr : &*found;
}

// Slowest against fastest p50 over an axis.
std::optional<double> flatness(const std::vector<Row>& rows, const std::string& axis,
                               Method method) {
  std::vector<double> values;
  for (const Row& row : rows)
    if (row.method == method && row.scenario.axis == axis) values.push_back(row.p50_us);
  if (values.size() < 2) return std::nullopt;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return *most / *least;
}

}  // namespace

const char* name(Method method) {
  switch (method) {
    case Method::fast: return "fast";
    case Method::fallback: return "fallback";
    case Method::plain: break;
  }
  return "plain";
}

Row summary(const Scenario& scenario, const HostCount& host, Method method, Sample sample) {
  Row row{scenario, host, method, sample.lookup_us.size(), sample.wrong, 0, 0, 0, 0, {}};
  row.p50_us = percentile(sample.lookup_us, 50);
  row.p99_us = percentile(sample.lookup_us, 99);
  row.cpu_us = sample.cpu_us;
  row.wave_us = percentile(sample.wave_us, 50);
  for (const auto& [how, count] : sample.how) {
    if (!row.how.empty()) row.how += "; ";
    row.how += how;
    if (count != row.lookups) row.how += fmt::format(" ({})", count);
  }
  return row;
}

void print_heading() {
  fmt::print("{:<10} {:>11} {:>8} {:>8} {:>6}  {:<8} {:>6} {:>5} {:>10} {:>10} {:>10} {:>11}  {}\n",
             "varied", "to", "sockets", "files", "procs", "method", "n", "wrong", "p50 us",
             "p99 us", "CPU us", "batch us", "answers say");
}

void print(const Row& row) {
  fmt::print(
      "{:<10} {:>11} {:>8} {:>8} {:>6}  {:<8} {:>6} {:>5} {:>10.1f} {:>10.1f} {:>10.1f} {:>11.1f}  "
      "{}\n",
      row.scenario.axis, row.scenario.value, row.host.sockets, row.host.files, row.host.processes,
      name(row.method), row.lookups, row.wrong, row.p50_us, row.p99_us, row.cpu_us, row.wave_us,
      row.how);
  std::fflush(stdout);
}

void print_ratios(const std::vector<Row>& rows) {
  fmt::print("\nslowest p50 over an axis / fastest:\n");
  for (const std::string& axis : axes()) {
    if (axis == "waiting") continue;  // that is no lookup's own time
    fmt::print("  {:<10}", axis);
    for (const Method method : kMethods)
      if (const auto ratio = flatness(rows, axis, method))
        fmt::print("  {} {:.2f}", name(method), *ratio);
    fmt::print("\n");
  }
  const char* const busy = "10000+10000";
  const Row* const fast = find(rows, "busy host", busy, Method::fast);
  const Row* const plain = find(rows, "busy host", busy, Method::plain);
  if (fast != nullptr && plain != nullptr)
    fmt::print("10,000 sockets and 10,000 other open files: plain / fast {:.0f}\n",
               plain->p50_us / fast->p50_us);
  for (const Method method : kMethods) {
    const Row* const one = find(rows, "waiting", "1", method);
    const Row* const many = find(rows, "waiting", "64", method);
    if (one == nullptr || many == nullptr) continue;
    fmt::print("64 waiting / 1, until all are answered: {} {:.2f}, CPU {:.2f}\n", name(method),
               many->wave_us / one->wave_us, 64 * many->cpu_us / one->cpu_us);
  }
  std::size_t wrong = 0;
  for (const Row& row : rows) wrong += row.wrong;
  fmt::print("wrong answers: {}\n", wrong);
}

}  // namespace warder::bench
