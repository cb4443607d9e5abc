#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace warder::bench {

// One kind of load.
struct Case {
  std::string name;
  std::size_t connections = 1;
};

// Of one round, or the median over all of them.
struct Figures {
  double requests_per_second = 0;
  double cpu_us = 0;      // of the contender's processes, for each request
  double opa_cpu_us = 0;  // of OPA's, for each request
  double p50_us = 0;
  double p99_us = 0;
  double peak_rss_mb = 0;
  double questions = 0;  // to OPA, for each request
  double reconnects = 0;
};

// A contender under one load.
struct Row {
  Case load;
  std::string name;
  std::string label;
  std::vector<Figures> rounds;
};

// Contenders that a ratio of their own is about.
inline constexpr const char* kDecide = "warder-decide";
inline constexpr const char* kOpaAlone = "opa-alone";
inline constexpr const char* kOpaPaced = "opa-paced";

// Each figure's own median.
[[nodiscard]] Figures median(const std::vector<Figures>& rounds);

void print_table(const std::vector<Row>& rows);
void print_ratios(const std::vector<Row>& rows);

}  // namespace warder::bench
