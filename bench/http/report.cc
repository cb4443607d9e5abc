#include "report.h"

#include <fmt/core.h>

#include <algorithm>

namespace warder::bench {
namespace {

constexpr const char* kReuse = "warder";

double median(const std::vector<Figures>& rounds, double Figures::*figure) {
  std::vector<double> values;
  values.reserve(rounds.size());
  for (const Figures& round : rounds) values.push_back(round.*figure);
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// nullptr: that row was not run.
const Row* find(const std::vector<Row>& rows, const Case& load, const std::string& name) {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return row.name == name && row.load.name == load.name &&
           row.load.connections == load.connections;
  });
  return found == rows.end() ? nullptr : &*found;
}

// What is nothing to somebody stays empty.
std::string cell(double value) { return value > 0 ? fmt::format("{:.1f}", value) : ""; }

// Least and most of the rounds' ratios say how far to trust their median.
void print_ratio(const std::string& what, const Row& above, const Row& below,
                 double (*cost)(const Figures&)) {
  const std::size_t rounds = std::min(above.rounds.size(), below.rounds.size());
  std::vector<double> ratios;
  ratios.reserve(rounds);
  for (std::size_t i = 0; i < rounds; ++i)
    ratios.push_back(cost(above.rounds[i]) / cost(below.rounds[i]));
  const auto [least, most] = std::minmax_element(ratios.begin(), ratios.end());
  fmt::print("  {:<76} {:.2f} (rounds {:.2f} to {:.2f})\n", what,
             cost(median(above.rounds)) / cost(median(below.rounds)), *least, *most);
}

double whole_cost(const Figures& figures) { return figures.cpu_us + figures.opa_cpu_us; }

}  // namespace

Figures median(const std::vector<Figures>& rounds) {
  return {median(rounds, &Figures::requests_per_second),
          median(rounds, &Figures::cpu_us),
          median(rounds, &Figures::opa_cpu_us),
          median(rounds, &Figures::p50_us),
          median(rounds, &Figures::p99_us),
          median(rounds, &Figures::peak_rss_mb),
          median(rounds, &Figures::questions),
          median(rounds, &Figures::reconnects)};
}

void print_table(const std::vector<Row>& rows) {
  fmt::print("\n{:<8} {:>5}  {:<26} {:>10} {:>9} {:>9} {:>10} {:>10} {:>9} {:>9}\n", "load",
             "conns", "through", "req/s", "CPU us", "OPA us", "p50 us", "p99 us", "RSS MB",
             "asked/req");
  const Row* last = nullptr;
  for (const Row& row : rows) {
    if (last != nullptr &&
        (last->load.name != row.load.name || last->load.connections != row.load.connections))
      fmt::print("\n");
    last = &row;
    const Figures of = median(row.rounds);
    fmt::print("{:<8} {:>5}  {:<26} {:>10.0f} {:>9} {:>9} {:>10.1f} {:>10.1f} {:>9} {:>9}",
               row.load.name, row.load.connections, row.label, of.requests_per_second,
               cell(of.cpu_us), cell(of.opa_cpu_us), of.p50_us, of.p99_us, cell(of.peak_rss_mb),
               of.questions > 0 ? fmt::format("{:.4f}", of.questions) : "");
    fmt::print("{}\n", of.reconnects > 0 ? fmt::format("  {:.0f} reconnects", of.reconnects) : "");
  }
}

void print_ratios(const std::vector<Row>& rows) {
  fmt::print("\nratios of CPU per request:\n");
  for (const Row& row : rows) {
    const std::string load = fmt::format("{}, {}: ", row.load.name, row.load.connections);
    if (row.name == kReuse) {
      for (const char* peer : {"envoy", "squid", "apache"})
        if (const Row* below = find(rows, row.load, peer))
          print_ratio(load + "Warder with answers reused, OPA included / " + below->label, row,
                      *below, whole_cost);
    }
    if (row.name == kDecide) {
      if (const Row* below = find(rows, row.load, kOpaAlone))
        print_ratio(load + "(Warder + OPA), one decision each / OPA alone", row, *below,
                    whole_cost);
    }
    if (row.name == kOpaPaced) {
      if (const Row* below = find(rows, row.load, kOpaAlone))
        print_ratio(load + "OPA alone, with pauses (a gate at no cost) / OPA alone", row, *below,
                    whole_cost);
    }
  }
}

}  // namespace warder::bench
