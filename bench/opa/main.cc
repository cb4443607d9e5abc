// What opa::Client adds to the time of a question: the same question to the same OPA over a unix
// socket, by the client and by a bare loop, in turns; medians of the rounds.
//
// usage: bench_opa [--quick] [--only none|example] [--load 1|32|paced]
// 1, 32: so many questions at once, each followed by the next as soon as its answer is there
// paced: one at once, a millisecond apart, as those of a gate with little to do
// in the repository's root: it takes rego/egress and rego/example

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "loops.h"
#include "server.h"

namespace warder::bench {
namespace {

constexpr int kRounds = 9;

opa::Query question() {
  opa::Query query;
  query.binary = "/usr/bin/curl";
  query.host = "10.200.0.9";  // allowed by rego/example
  query.port = 18789;
  query.request_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  query.ancestors = {"/usr/bin/bash", "/usr/bin/node"};
  query.request.kind = "connect";
  query.request.method = "CONNECT";
  query.client = {"10.0.0.2", 40000};
  query.identity.grade = "exact";
  query.identity.assurance = "proven";
  opa::QueryProcess process;
  process.pid = 4711;
  process.binary = "/usr/bin/curl";
  process.path = "/usr/bin/curl";
  process.role = {"connector", "holder"};
  process.ancestors = query.ancestors;
  query.identity.processes.push_back(std::move(process));
  return query;
}

double microseconds(Latencies took, double quantile) {
  if (took.empty()) return 0;
  const auto place = static_cast<std::size_t>(quantile * static_cast<double>(took.size() - 1));
  std::nth_element(took.begin(), took.begin() + static_cast<std::ptrdiff_t>(place), took.end());
  return std::chrono::duration<double, std::micro>(took[place]).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

struct Row {
  std::vector<double> bare, client, ratio;

  void add(double by_bare, double by_client) {
    bare.push_back(by_bare);
    client.push_back(by_client);
    ratio.push_back(by_client / by_bare);
  }
  void print(std::string_view what, std::string_view load, std::string_view quantile) const {
    fmt::print("| {} | {} | {} | {:.0f} | {:.0f} | {:.2f} |\n", what, load, quantile, median(bare),
               median(client), median(ratio));
    std::fflush(stdout);
  }
};

bool measure(std::string_view what, std::string_view load, const Work& work) {
  Row p50;
  Row p99;
  for (int round = 0; round < kRounds; ++round) {
    // Who comes second finds a warmer machine.
    const bool bare_first = round % 2 == 0;
    Latencies bare = bare_first ? run_bare(work) : Latencies{};
    const Latencies client = run_client(work);
    if (!bare_first) bare = run_bare(work);
    if (bare.empty() || client.empty()) return false;
    p50.add(microseconds(bare, 0.5), microseconds(client, 0.5));
    p99.add(microseconds(bare, 0.99), microseconds(client, 0.99));
  }
  p50.print(what, load, "p50");
  p99.print(what, load, "p99");
  return true;
}

// The dearer the decision, the less the client's part of it.
struct Subject {
  std::string_view name;
  std::string_view what;
  std::vector<std::string> policies;
};

struct Options {
  bool quick = false;
  std::string_view only, load;  // empty: all
};

struct Load {
  std::string_view name;
  std::size_t at_once, exchanges;
  std::chrono::milliseconds pause;
};
constexpr std::array<Load, 3> kLoads{{
    {"1", 1, 5000, {}},
    {"32", 32, 20000, {}},
    {"paced", 1, 1000, std::chrono::milliseconds(1)},
}};
constexpr std::size_t kQuick = 25;  // by how much less

bool measure(const Subject& subject, const Options& options, const std::string& directory) {
  if (!options.only.empty() && options.only != subject.name) return true;
  const OpaServer opa(subject.policies, directory);
  if (!opa.answers()) return false;
  for (const Load& load : kLoads) {
    if (!options.load.empty() && options.load != load.name) continue;
    const std::size_t exchanges = load.exchanges / (options.quick ? kQuick : 1);
    const Work work{opa.socket(), question(), load.at_once, exchanges, load.pause};
    if (!measure(subject.what, load.name, work)) return false;
  }
  return true;
}

int run(const Options& options) {
  std::string directory = "/tmp/bench-opa-XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr) return 1;
  fmt::print("| policies | load | | bare loop, µs | client, µs | median of the ratios |\n");
  fmt::print("|---|---|---|---|---|---|\n");
  const std::array<Subject, 2> subjects{{
      {"none", "none, denied", {"rego/egress"}},
      {"example", "rego/example, allowed", {"rego/egress", "rego/example"}},
  }};
  const bool good = std::all_of(subjects.begin(), subjects.end(), [&](const Subject& subject) {
    return measure(subject, options, directory);
  });
  ::rmdir(directory.c_str());
  if (!good) fmt::print(stderr, "bench_opa: OPA did not answer\n");
  return good ? 0 : 1;
}

bool is_load(std::string_view name) {
  return std::any_of(kLoads.begin(), kLoads.end(),
                     [&](const Load& load) { return load.name == name; });
}

std::optional<Options> parse(const std::vector<std::string_view>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view value = i + 1 < arguments.size() ? arguments[i + 1] : "";
    if (arguments[i] == "--quick") {
      options.quick = true;
      continue;
    }
    if (arguments[i] == "--only" && (value == "none" || value == "example")) {
      options.only = value;
    } else if (arguments[i] == "--load" && is_load(value)) {
      options.load = value;
    } else {
      return std::nullopt;
    }
    ++i;
  }
  return options;
}

}  // namespace
}  // namespace warder::bench

int main(int argc, char** argv) {
  const auto options = warder::bench::parse({argv + 1, argv + argc});
  if (!options) {
    fmt::print(stderr, "usage: bench_opa [--quick] [--only none|example] [--load 1|32|paced]\n");
    return EXIT_FAILURE;
  }
  return warder::bench::run(*options);
}
