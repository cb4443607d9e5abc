// bench_flood [--requests N] [--seconds N] [--rounds N] [--limit N] [--only get|connect]
#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/utsname.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "gate.h"
#include "http/origin.h"
#include "own_network.h"
#include "paced.h"
#include "run_directory.h"
#include "slow_moments.h"

namespace warder::bench {
namespace {

constexpr std::uint64_t kQuietPerSecond = 100;
constexpr std::size_t kQuietAtOnce = 8;
constexpr std::size_t kFloodAtOnce = 64;
constexpr std::uint64_t kWarmUpSeconds = 2;

struct Options {
  std::uint64_t requests = 20'000;
  std::uint64_t seconds = 10;
  std::uint64_t rounds = 3;
  std::string limit;
  std::string only;
};

// Of the allowed requests, over some seconds.
struct Part {
  double busy = 0;          // of all processors, by whomever
  double p50 = 0, p99 = 0;  // microseconds
  double steady_p99 = 0;    // the same without the machine's slow moments
  double left = 0;          // of the requests, those that were due in none
};

struct Figures {
  Part quiet, flood;
  double warder_cpu = 0, opa_cpu = 0;  // of one processor, in the flood
  std::uint64_t flood_took_ms = 0;
  Gate::Told told;
};

bool parse(const std::vector<std::string>& arguments, Options& options) {
  if (arguments.size() % 2 != 0) return false;
  const std::map<std::string_view, std::uint64_t*> numbers{{"--requests", &options.requests},
                                                           {"--seconds", &options.seconds},
                                                           {"--rounds", &options.rounds}};
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const std::string& value = arguments[i + 1];
    if (arguments[i] == "--only") {
      options.only = value;
      if (value != "get" && value != "connect") return false;
      continue;
    }
    std::uint64_t number = 0;
    const auto read = std::from_chars(value.data(), value.data() + value.size(), number);
    if (read.ec != std::errc()) return false;
    if (arguments[i] == "--limit") {
      options.limit = value;
      continue;
    }
    const auto known = numbers.find(arguments[i]);
    if (known == numbers.end() || number == 0) return false;
    *known->second = number;
  }
  return true;
}

// This program is build/release/bench_flood of the tree. Its copy is another one: the policy knows
// programs by their paths.
GateSite make_site(const Options& options, const std::string& directory) {
  const auto self = std::filesystem::read_symlink("/proc/self/exe");
  const auto tree = self.parent_path().parent_path().parent_path();
  GateSite site{self,
                directory + "/flooder",
                self.parent_path() / "warder",
                "/usr/local/bin/opa",
                tree / "rego/egress",
                directory,
                options.limit};
  std::filesystem::copy_file(self, site.flooder);
  return site;
}

// The flooder's role: says how many answers of which status it got, and how long that took.
int flood(const std::vector<std::string>& arguments) {
  Pace pace;
  pace.gate = *net::Endpoint::parse(arguments.at(1));
  pace.connect = arguments.at(2) == "connect";
  pace.requests = std::stoull(arguments.at(3));
  pace.per_second = std::stod(arguments.at(4));
  pace.at_once = kFloodAtOnce;
  const auto begin = std::chrono::steady_clock::now();
  const auto answers = ask_at_pace(
      pace, [](std::uint64_t number) { return fmt::format("h{}{}:80", number, kDeniedName); });
  const auto took = std::chrono::steady_clock::now() - begin;
  if (!answers) {
    fmt::print(stderr, "flooder: {}\n", describe(answers.error()));
    return EXIT_FAILURE;
  }
  std::uint64_t others = 0;
  for (const auto& [status, count] : answers->by_status)
    if (status != 403 && status != 429) others += count;
  fmt::print("{} {}\n", others,
             std::chrono::duration_cast<std::chrono::milliseconds>(took).count());
  return EXIT_SUCCESS;
}

// Jiffies of all processors since the machine was started (proc_stat(5)).
struct Jiffies {
  double all = 0, idle = 0;
};

Jiffies jiffies() {
  std::ifstream file("/proc/stat");
  std::string name;
  file >> name;
  Jiffies read;
  // user, nice, system, idle, iowait, irq, softirq, steal; guests are a part of user.
  for (int field = 0; field < 8; ++field) {
    double value = 0;
    file >> value;
    read.all += value;
    if (field == 3 || field == 4) read.idle += value;
  }
  return read;
}

double busy_since(const Jiffies& before) {
  const Jiffies now = jiffies();
  return 1 - (now.idle - before.idle) / (now.all - before.all);
}

Result<Answers> ask_allowed(const Gate& gate, std::uint64_t seconds) {
  std::string authority = fmt::format("127.0.0.1:{}", kOriginPort);
  auto answers = ask_at_pace({gate.address(), false, seconds * kQuietPerSecond,
                              static_cast<double>(kQuietPerSecond), kQuietAtOnce},
                             [&](std::uint64_t) -> std::string { return authority; });
  if (!answers) return answers;
  if (answers->by_status.size() != 1 || !answers->by_status.contains(200))
    return fail(Errc::bad_response, "a request that the policy allows was refused");
  return answers;
}

Result<std::uint64_t> end_of(const Process& flooder, const std::string& output) {
  while (flooder.still_runs()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::ifstream file(output);
  std::uint64_t others = 0;
  std::uint64_t took_ms = 0;
  if (!(file >> others >> took_ms)) return fail(Errc::closed_by_peer, "the flood broke off");
  if (others != 0) return fail(Errc::bad_response, "the flood was not denied");
  return took_ms;
}

Result<Part> measure(const Gate& at, std::uint64_t seconds) {
  SlowMoments machine;
  const Jiffies before = jiffies();
  const auto answers = ask_allowed(at, seconds);
  if (!answers) return fail(answers.error());
  Part part;
  part.busy = busy_since(before);
  const Histogram all = answers->latency();
  const Histogram steady = answers->latency(machine.stop());
  if (steady.count() == 0)
    return fail(Errc::timed_out, "this machine was slow all the time: nothing is left to compare");
  part.p50 = all.percentile_us(50);
  part.p99 = all.percentile_us(99);
  part.steady_p99 = steady.percentile_us(99);
  part.left = static_cast<double>(steady.count()) / static_cast<double>(all.count());
  return part;
}

Result<void> quietly(const Options& options, const Gate& at, Figures& figures) {
  if (auto warm = ask_allowed(at, kWarmUpSeconds); !warm) return fail(warm.error());
  const auto part = measure(at, options.seconds);
  if (!part) return fail(part.error());
  figures.quiet = *part;
  return {};
}

Result<void> in_the_flood(const Options& options, const GateSite& site, const std::string& kind,
                          Gate& at, Figures& figures) {
  const std::string output = site.directory + "/flooder.out";
  std::filesystem::remove(output);
  const auto seconds = static_cast<double>(options.seconds);
  const double rate = static_cast<double>(options.requests) / seconds;
  const double warder_before = at.warder_seconds();
  const double opa_before = at.opa_seconds();
  const auto flooder = Process::start({site.flooder, "flood", at.address().text(), kind,
                                       std::to_string(options.requests), std::to_string(rate)},
                                      {output, site.directory + "/other.log"});
  if (!flooder) return fail(flooder.error());
  // Until it runs its own program, it holds what this one has opened.
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto part = measure(at, options.seconds);
  if (!part) return fail(part.error());
  figures.flood = *part;
  figures.warder_cpu = (at.warder_seconds() - warder_before) / seconds;
  figures.opa_cpu = (at.opa_seconds() - opa_before) / seconds;
  const auto took = end_of(*flooder, output);
  if (!took) return fail(took.error());
  figures.flood_took_ms = *took;
  return {};
}

Result<Figures> round(const Options& options, const GateSite& site, const std::string& kind) {
  const auto gate = Gate::start(site);
  if (!gate) return fail(gate.error());
  Gate& at = **gate;
  Figures figures;
  if (auto done = quietly(options, at, figures); !done) return fail(done.error());
  if (auto done = in_the_flood(options, site, kind, at, figures); !done) return fail(done.error());
  if (auto stopped = at.stop(); !stopped) return fail(stopped.error());
  const auto told = at.told();
  if (!told) return fail(told.error());
  figures.told = *told;
  if (told->denied != options.requests)
    return fail(Errc::bad_response, fmt::format("Warder's log counts {} of {} denied requests",
                                                told->denied, options.requests));
  return figures;
}

struct Ratios {
  std::vector<double> all, steady;
};

double middle(std::vector<double> of) {
  std::sort(of.begin(), of.end());
  return of[of.size() / 2];
}

void print_head(const Options& options) {
  utsname system{};
  ::uname(&system);
  fmt::print("{} denied requests in {} s beside {} allowed ones a second, {} rounds; Linux {}\n",
             options.requests, options.seconds, kQuietPerSecond, options.rounds, system.release);
  fmt::print("Steady: of the requests that were due in no slow moment of the machine.\n\n");
  fmt::print(
      "| flood by | round | quiet p50 | p99 | in the flood p50 | p99 | ratio of p99 "
      "| steady: quiet p99 | in the flood | ratio | of the requests "
      "| flood took | asked of OPA | in the log | CPU of Warder | of OPA "
      "| machine busy, quiet and in the flood |\n");
  fmt::print("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
}

void print(const std::string& kind, std::uint64_t number, const Figures& of) {
  fmt::print("| {} | {} | {:.0f} us | {:.0f} us | {:.0f} us | {:.0f} us | {:.2f} ", kind, number,
             of.quiet.p50, of.quiet.p99, of.flood.p50, of.flood.p99, of.flood.p99 / of.quiet.p99);
  fmt::print("| {:.0f} us | {:.0f} us | {:.2f} | {:.0f} %, {:.0f} % ", of.quiet.steady_p99,
             of.flood.steady_p99, of.flood.steady_p99 / of.quiet.steady_p99, of.quiet.left * 100,
             of.flood.left * 100);
  fmt::print("| {:.1f} s | {} | {} in {} lines | {:.0f} % | {:.0f} % | {:.0f} %, {:.0f} % |\n",
             static_cast<double>(of.flood_took_ms) / 1000, of.told.asked, of.told.denied,
             of.told.lines, of.warder_cpu * 100, of.opa_cpu * 100, of.quiet.busy * 100,
             of.flood.busy * 100);
  std::fflush(stdout);
}

Result<void> bench(const Options& options, const std::string& directory) {
  const GateSite site = make_site(options, directory);
  print_head(options);
  for (const std::string kind : {"get", "connect"}) {
    if (!options.only.empty() && options.only != kind) continue;
    Ratios ratios;
    for (std::uint64_t number = 1; number <= options.rounds; ++number) {
      const auto figures = round(options, site, kind);
      if (!figures) return fail(figures.error());
      print(kind, number, *figures);
      ratios.all.push_back(figures->flood.p99 / figures->quiet.p99);
      ratios.steady.push_back(figures->flood.steady_p99 / figures->quiet.steady_p99);
    }
    fmt::print("| {} | median | | | | | {:.2f} | | | {:.2f} | | | | | | | |\n", kind,
               middle(ratios.all), middle(ratios.steady));
  }
  return {};
}

Result<void> run(const Options& options) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (auto inside = enter_own_network(); !inside) return inside;
  RunDirectory directory("bench_flood");
  auto done = bench(options, directory.path());
  if (!done) {
    directory.keep();
    fmt::print(stderr, "configurations and logs are in {}\n", directory.path());
  }
  return done;
}

int main_program(const std::vector<std::string>& arguments) {
  if (arguments.size() == 2 && arguments[0] == "origin")
    return serve_as_origin({static_cast<std::uint16_t>(std::stoi(arguments[1]))});
  if (arguments.size() == 5 && arguments[0] == "flood") return flood(arguments);
  Options options;
  if (!parse(arguments, options)) {
    fmt::print(stderr,
               "usage: bench_flood [--requests N] [--seconds N] [--rounds N] [--limit N] "
               "[--only get|connect]\n");
    return 2;
  }
  const auto done = run(options);
  if (done) return EXIT_SUCCESS;
  fmt::print(stderr, "bench_flood: {}\n", describe(done.error()));
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace warder::bench

int main(int argc, char** argv) {
  return warder::bench::main_program(std::vector<std::string>(argv + 1, argv + argc));
}
