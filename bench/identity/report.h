#pragma once

#include <string>
#include <vector>

#include "sample.h"
#include "scenario.h"

namespace warder::bench {

enum class Method { fast, fallback, plain };
inline constexpr Method kMethods[] = {Method::fast, Method::fallback, Method::plain};
[[nodiscard]] const char* name(Method method);

// One line of the table.
struct Row {
  Scenario scenario;
  HostCount host;  // as it was
  Method method = Method::fast;
  std::size_t lookups = 0;
  std::size_t wrong = 0;
  double p50_us = 0;
  double p99_us = 0;
  double cpu_us = 0;
  double wave_us = 0;  // p50
  std::string how;
};

// `sample` has at least one lookup.
[[nodiscard]] Row summary(const Scenario& scenario, const HostCount& host, Method method,
                          Sample sample);

void print_heading();
void print(const Row& row);
void print_ratios(const std::vector<Row>& rows);

}  // namespace warder::bench
