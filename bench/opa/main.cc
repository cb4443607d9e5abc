// What opa::Client adds to the time of a question: the same question to the same OPA over a unix
// socket, by the client and by a bare loop, in turns; medians of the rounds.
//
// usage: bench_opa [--quick] [REGO]   REGO: the policy package, rego/egress where it is not given

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
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
  query.host = "api.example.com";
  query.port = 443;
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
  void print(std::size_t at_once, std::string_view what) const {
    fmt::print("| {} | {} | {:.0f} | {:.0f} | {:.2f} |\n", at_once, what, median(bare),
               median(client), median(ratio));
    std::fflush(stdout);
  }
};

bool measure(const Work& work) {
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
  p50.print(work.at_once, "p50");
  p99.print(work.at_once, "p99");
  return true;
}

int run(bool quick, const std::string& rego) {
  std::string directory = "/tmp/bench-opa-XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr) return 1;
  bool good = false;
  {
    const OpaServer opa(rego, directory);
    good = opa.answers();
    if (good) {
      fmt::print("| at once | | bare loop, µs | client, µs | median of the ratios |\n");
      fmt::print("|---|---|---|---|---|\n");
    }
    for (const std::size_t at_once : {std::size_t{1}, std::size_t{32}}) {
      const std::size_t exchanges = std::size_t{quick ? 200U : 5000U} * (at_once == 1 ? 1U : 4U);
      good = good && measure({opa.socket(), question(), at_once, exchanges});
    }
  }
  ::rmdir(directory.c_str());
  if (!good) fmt::print(stderr, "bench_opa: OPA did not answer\n");
  return good ? 0 : 1;
}

}  // namespace
}  // namespace warder::bench

int main(int argc, char** argv) {
  bool quick = false;
  std::string rego = "rego/egress";
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--quick") {
      quick = true;
    } else {
      rego = argv[i];
    }
  }
  return warder::bench::run(quick, rego);
}
