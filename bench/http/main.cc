// bench_http [--quick] [--access-log] [--only NAME]...
#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "contender.h"
#include "load.h"
#include "origin.h"
#include "own_network.h"
#include "report.h"
#include "run_directory.h"

namespace warder::bench {
namespace {

struct Options {
  bool quick = false;
  bool access_log = false;
  std::vector<std::string> only;  // loads and contenders; empty: all
};

struct Plan {
  std::size_t rounds = 5;
  std::chrono::milliseconds warm_up{500};
  std::chrono::milliseconds time{2000};
};

constexpr const char* kDirect = "direct";
const std::vector<std::string> kContenders = {kDirect,  "warder", kDecide,   "squid",
                                              "apache", "envoy",  kOpaAlone, kOpaPaced};
// What lies between OPA's answer and the next question when a gate, an origin and a client do their
// work in between, one request after the other: its threads fall asleep over it.
constexpr std::chrono::microseconds kPace{400};
const std::vector<std::string> kLoads = {"12", "1m", "up"};

bool holds(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Names of one kind choose among that kind; where none is given, all of it run.
bool chosen(const Options& options, const std::vector<std::string>& kind, const std::string& name) {
  const bool any = std::any_of(options.only.begin(), options.only.end(),
                               [&](const std::string& only) { return holds(kind, only); });
  return !any || holds(options.only, name);
}

std::optional<Options> parse(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--quick") {
      options.quick = true;
    } else if (arguments[i] == "--access-log") {
      options.access_log = true;
    } else if (arguments[i] == "--only" && i + 1 < arguments.size()) {
      options.only.push_back(arguments[++i]);
      if (!holds(kContenders, options.only.back()) && !holds(kLoads, options.only.back()))
        return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
  return options;
}

std::string found_in_path(const std::string& name) {
  const char* const path = std::getenv("PATH");
  std::string rest = path != nullptr ? path : "";
  while (!rest.empty()) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    std::string candidate = rest.substr(0, colon) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.erase(0, colon + 1);
  }
  return name;
}

// This program is build/release/bench_http of the tree.
Site make_site(const std::string& directory, bool access_log) {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto tree = self.parent_path().parent_path().parent_path();
  return {self.string(),
          self.parent_path() / "warder",
          found_in_path("opa"),
          tree / "rego/egress",
          tree / "build/bench-peers/packages/envoy/_bin/envoy",
          directory,
          access_log};
}

Exchange request(const std::string& load, std::uint16_t origin_port, bool through_proxy) {
  const std::string authority = fmt::format("127.0.0.1:{}", origin_port);
  const std::string before = through_proxy ? "http://" + authority : "";
  const std::string fields =
      fmt::format("Host: {}\r\nUser-Agent: bench\r\nAccept: */*\r\n", authority);
  if (load == "up")
    return {fmt::format("PUT {}/up HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n", before, fields,
                        kLargeBytes) +
                std::string(kLargeBytes, 'x'),
            std::string(kUploadAnswer), kUploadAnswer.size()};
  if (load == "1m")
    return {fmt::format("GET {}/1m HTTP/1.1\r\n{}\r\n", before, fields), std::nullopt, kLargeBytes};
  return {fmt::format("GET {}/12 HTTP/1.1\r\n{}\r\n", before, fields), std::string(kSmallBody),
          kSmallBody.size()};
}

class Bench {
 public:
  Bench(const Options& options, Site site) : options_(options), site_(std::move(site)) {
    if (options.quick) plan_ = {3, std::chrono::milliseconds(100), std::chrono::milliseconds(400)};
  }

  [[nodiscard]] Result<void> run();

 private:
  [[nodiscard]] Result<void> start();
  [[nodiscard]] Result<void> add(Result<Contender> contender);
  [[nodiscard]] Result<void> learn_question();
  void print_conditions() const;
  void make_rows();
  struct Cpu {
    std::chrono::nanoseconds own{};
    std::chrono::nanoseconds opa{};
  };
  [[nodiscard]] Cpu cpu_of(const Contender& contender) const;
  [[nodiscard]] Result<Figures> measure(const Contender& contender, const Row& row) const;
  [[nodiscard]] std::pair<Server, Exchange> target(const Contender& contender,
                                                   const Case& load) const;

  const Options options_;
  const Site site_;
  Plan plan_;
  std::optional<Process> origin_;
  std::optional<Opa> opa_;
  std::string question_;
  std::vector<Contender> contenders_;
  std::vector<Row> rows_;  // for each load, each of `contenders_` that it is for
};

Result<void> Bench::add(Result<Contender> contender) {
  if (!contender) return fail(std::move(contender.error()));
  contenders_.push_back(std::move(*contender));
  return {};
}

Result<void> Bench::start() {
  auto origin = start_origin(site_);
  if (!origin) return fail(std::move(origin.error()));
  origin_.emplace(std::move(*origin));
  auto opa = start_opa(site_);
  if (!opa) return fail(std::move(opa.error()));
  opa_.emplace(std::move(*opa));
  for (const std::string& name : kContenders) {
    // OPA's questions are Warder's.
    const bool wanted = chosen(options_, kContenders, name) ||
                        (name == kDecide && (chosen(options_, kContenders, kOpaAlone) ||
                                             chosen(options_, kContenders, kOpaPaced)));
    if (!wanted) continue;
    Result<void> done;
    if (name == kDirect)
      done = add(Contender{name, "direct", {}, loopback(kReusePort), kReusePort, false});
    else if (name == "warder")
      done = add(start_warder(site_, *opa_, true));
    else if (name == kDecide)
      done = add(start_warder(site_, *opa_, false));
    else if (name == "squid")
      done = add(start_squid(site_));
    else if (name == "apache")
      done = add(start_apache(site_));
    else if (name == "envoy")
      done = add(start_envoy(site_));
    else if (name == kOpaAlone)
      done = add(Contender{name, "OPA alone", {}, {}, kDecidePort, true});
    else
      done = add(Contender{name, "OPA alone, with pauses", {}, {}, kDecidePort, true});
    if (!done) return done;
  }
  return {};
}

// One request through Warder, and what OPA was asked for it.
Result<void> Bench::learn_question() {
  for (const Contender& contender : contenders_) {
    if (contender.name != kDecide) continue;
    std::filesystem::resize_file(opa_->decision_log, 0);
    auto [server, exchange] = target(contender, {"12", 1});
    auto load = Load::connect(std::move(server), std::move(exchange), 1);
    if (!load) return fail(std::move(load.error()));
    if (auto tally = load->run({}, 1); !tally)
      return fail(tally.error().code,
                  "through " + contender.label + ": " + describe(tally.error()));
    auto question = asked_question(*opa_);
    if (!question) return fail(std::move(question.error()));
    question_ = std::move(*question);
  }
  return {};
}

void Bench::print_conditions() const {
  utsname host{};
  ::uname(&host);
  double load[3] = {0, 0, 0};
  (void)::getloadavg(load, 3);
  fmt::print(
      "{} cores, shared by the load, the origin, OPA and whoever is measured; nothing is pinned to "
      "a "
      "core.\nLinux {}, load average before: {:.2f}. Loopback of a network namespace of its own.\n"
      "Warder, Envoy: a worker for each core; Squid: one process, no cache; Apache: event MPM with "
      "Debian's settings.\nAccess logs: {}. OPA's decision log: on, into a file.\n"
      "{} rounds of {} ms after {} ms of warming up, contenders in turn; every figure is the "
      "median "
      "of the rounds.\nCPU: user and system time of all processes of a contender. RSS: the sum of "
      "their peaks.\n",
      ::sysconf(_SC_NPROCESSORS_ONLN), host.release, load[0],
      site_.access_log ? "on for all, into files"
                       : "off for all (Warder: log.level warn, which records only refusals)",
      plan_.rounds, plan_.time.count(), plan_.warm_up.count());
}

bool is_for(const std::string& contender, const std::string& load, std::size_t connections) {
  if (contender == kOpaAlone) return load == "12";
  return contender != kOpaPaced || (load == "12" && connections == 1);
}

void Bench::make_rows() {
  for (const std::string& load : kLoads) {
    if (!chosen(options_, kLoads, load)) continue;
    for (const std::size_t connections : {std::size_t{1}, std::size_t{64}})
      for (const Contender& contender : contenders_)
        if (is_for(contender.name, load, connections))
          rows_.push_back({{load, connections}, contender.name, contender.label, {}});
  }
}

std::pair<Server, Exchange> Bench::target(const Contender& contender, const Case& load) const {
  if (contender.name == kOpaAlone || contender.name == kOpaPaced)
    return {opa_->socket,
            {question_, std::nullopt, std::nullopt,
             contender.name == kOpaPaced ? kPace : std::chrono::microseconds(0)}};
  return {contender.at, request(load.name, contender.origin_port, contender.name != kDirect)};
}

std::size_t lines_of_decisions(const std::string& path) {
  std::ifstream file(path);
  std::size_t count = 0;
  for (std::string line; std::getline(file, line);)
    if (line.find("\"decision_id\"") != std::string::npos) ++count;
  return count;
}

Bench::Cpu Bench::cpu_of(const Contender& contender) const {
  Cpu cpu;
  for (const Process& process : contender.processes) cpu.own += group_cpu(process.pid());
  if (contender.asks_opa) cpu.opa = group_cpu(opa_->process.pid());
  return cpu;
}

Result<Figures> Bench::measure(const Contender& contender, const Row& row) const {
  auto [server, exchange] = target(contender, row.load);
  auto load = Load::connect(std::move(server), std::move(exchange), row.load.connections);
  if (!load) return fail(std::move(load.error()));
  for (const Process& process : contender.processes) forget_peaks(process.pid());
  const auto warm = load->run(plan_.warm_up, row.load.connections);
  if (!warm) return fail(warm.error());
  std::filesystem::resize_file(opa_->decision_log, 0);
  const Cpu before = cpu_of(contender);
  const auto tally = load->run(plan_.time, 2 * row.load.connections);
  if (!tally) return fail(tally.error());
  const Cpu after = cpu_of(contender);

  const auto requests = static_cast<double>(tally->requests);
  const auto us_each = [&](std::chrono::nanoseconds spent) {
    return std::chrono::duration<double, std::micro>(spent).count() / requests;
  };
  Figures figures;
  figures.requests_per_second = requests / std::chrono::duration<double>(tally->time).count();
  figures.cpu_us = us_each(after.own - before.own);
  figures.opa_cpu_us = us_each(after.opa - before.opa);
  figures.p50_us = tally->latency.percentile_us(50);
  figures.p99_us = tally->latency.percentile_us(99);
  figures.reconnects = static_cast<double>(tally->reconnects);
  for (const Process& process : contender.processes)
    figures.peak_rss_mb += static_cast<double>(group_peak_rss_bytes(process.pid())) / 1e6;
  if (contender.asks_opa)
    figures.questions = static_cast<double>(lines_of_decisions(opa_->decision_log)) / requests;
  return figures;
}

Result<void> Bench::run() {
  if (auto started = start(); !started) return started;
  if (auto learnt = learn_question(); !learnt) return learnt;
  print_conditions();
  std::fflush(stdout);
  make_rows();
  for (std::size_t round = 0; round < plan_.rounds; ++round) {
    for (Row& row : rows_) {
      const auto contender =
          std::find_if(contenders_.begin(), contenders_.end(),
                       [&](const Contender& candidate) { return candidate.name == row.name; });
      auto figures = measure(*contender, row);
      if (!figures)
        return fail(figures.error().code,
                    fmt::format("{}, {} connections, through {}: {}", row.load.name,
                                row.load.connections, row.label, describe(figures.error())));
      row.rounds.push_back(*figures);
    }
    fmt::print(stderr, "round {} of {} done\n", round + 1, plan_.rounds);
  }
  print_table(rows_);
  print_ratios(rows_);
  return {};
}

Result<void> run(const Options& options) {
  // So that the peers' own children are waited for too.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (auto done = enter_own_network(); !done) return done;
  RunDirectory directory("bench_http");
  if (directory.path().empty()) return fail(from_errno(errno, "a directory in /tmp"));
  auto done = Bench(options, make_site(directory.path(), options.access_log)).run();
  if (!done) {
    directory.keep();
    fmt::print(stderr, "configurations and logs are in {}\n", directory.path());
  }
  return done;
}

int be_origin(const std::vector<std::string>& arguments) {
  std::vector<std::uint16_t> ports;
  for (std::size_t i = 1; i < arguments.size(); ++i)
    ports.push_back(static_cast<std::uint16_t>(std::atoi(arguments[i].c_str())));
  return serve_as_origin(ports);
}

int main_program(const std::vector<std::string>& arguments) {
  if (!arguments.empty() && arguments[0] == "origin") return be_origin(arguments);
  const auto options = parse(arguments);
  if (!options) {
    fmt::print(
        stderr,
        "usage: bench_http [--quick] [--access-log] [--only NAME]...\n"
        "  names: 12, 1m, up; direct, warder, warder-decide, squid, apache, envoy, opa-alone, "
        "opa-paced\n");
    return EXIT_FAILURE;
  }
  if (const auto done = run(*options); !done) {
    fmt::print(stderr, "bench_http: {}\n", describe(done.error()));
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace warder::bench

int main(int argc, char** argv) {
  return warder::bench::main_program(std::vector<std::string>(argv + 1, argv + argc));
}
