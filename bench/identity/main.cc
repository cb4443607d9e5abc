// bench_identity [--quick] [--svg FILE] [--only AXIS]...
#include <fmt/core.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "chart.h"
#include "child.h"
#include "identity/host_resolver.h"
#include "load.h"
#include "net/loop.h"
#include "net/socket.h"
#include "own_network.h"
#include "report.h"
#include "resolver_run.h"
#include "scenario.h"

namespace warder::bench {
namespace {

using identity::HostResolverOptions;

struct Options {
  bool quick = false;
  std::string svg;
  std::vector<std::string> only;  // axes; empty: all
};

std::optional<Options> parse(const std::vector<std::string>& arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const bool more = i + 1 < arguments.size();
    if (arguments[i] == "--quick")
      options.quick = true;
    else if (arguments[i] == "--svg" && more)
      options.svg = arguments[++i];
    else if (arguments[i] == "--only" && more)
      options.only.push_back(arguments[++i]);
    else
      return std::nullopt;
  }
  return options;
}

// The clients run a file of their own, so that a right path is more than a right guess.
class ClientProgram {
 public:
  ClientProgram() {
    char name[] = "/tmp/bench_identity.XXXXXX";
    if (::mkdtemp(name) == nullptr) return;
    directory_ = name;
    std::error_code error;
    std::filesystem::copy_file("/proc/self/exe", path(), error);
    ready_ = !error;
  }
  ~ClientProgram() {
    std::error_code ignored;
    if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
  }
  ClientProgram(const ClientProgram&) = delete;
  ClientProgram& operator=(const ClientProgram&) = delete;

  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] std::string path() const { return directory_ + "/client"; }

 private:
  std::string directory_;
  bool ready_ = false;
};

// The bench's own end of every client's connection, and the processes behind them, which end first.
struct Clients {
  std::vector<Client> asked;
  std::vector<net::UniqueFd> connections;
  std::vector<Child> children;
};

Result<Clients> connect_clients(const std::string& program, const Scenario& scenario) {
  Clients clients;
  auto listener =
      net::listen_tcp(*net::Endpoint::parse("127.0.0.1:0"), 128, net::PortSharing::exclusive);
  if (!listener) return fail(std::move(listener.error()));
  const auto at = net::local_endpoint(listener->get());
  if (!at) return fail(at.error());
  for (std::size_t i = 0; i < scenario.waiting; ++i) {
    auto child = Child::start(program, {"client", std::to_string(at->port), scenario.wait});
    if (!child) return fail(std::move(child.error()));
    auto accepted = net::accept_tcp(listener->get());
    if (!accepted || !*accepted) return fail(Errc::system, "no client connected");
    net::reset_on_close((*accepted)->fd.get());
    clients.asked.push_back({child->pid(), program, {(*accepted)->peer, *at, {}}});
    clients.children.push_back(std::move(*child));
    clients.connections.push_back(std::move((*accepted)->fd));
  }
  return clients;
}

struct Bench {
  net::Loop& loop;
  identity::Resolver& fast;
  identity::Resolver& fallback;
  std::string self;
  std::string client_program;
  Plan plan;
};

Result<std::vector<Row>> run_scenario(const Bench& bench, const Scenario& scenario) {
  auto load = Load::make(bench.self, scenario.load);
  if (!load) return fail(std::move(load.error()));
  const auto clients = connect_clients(bench.client_program, scenario);
  if (!clients) return fail(clients.error());
  const HostCount host = count_host();
  std::vector<Row> rows;
  const auto add = [&](Method method, Sample sample) {
    rows.push_back(summary(scenario, host, method, std::move(sample)));
    print(rows.back());
  };
  add(Method::fast, ResolverRun(bench.fast, bench.loop, clients->asked).measure(bench.plan));
  add(Method::fallback,
      ResolverRun(bench.fallback, bench.loop, clients->asked).measure(bench.plan));
  add(Method::plain, measure_plain(clients->asked, bench.plan));
  return rows;
}

// How much of a lookup is handing it to another thread and back.
void print_hop(const Bench& bench) {
  const Client nobody{};
  const Row row = summary({}, {}, Method::fast, measure_hop(bench.loop, {&nobody, 1}, bench.plan));
  fmt::print(
      "from the loop to the identity thread and back, without a lookup: p50 {:.1f} us, p99 {:.1f} "
      "us, CPU {:.1f} us\n",
      row.p50_us, row.p99_us, row.cpu_us);
}

Result<std::vector<Row>> run_all(const Bench& bench, const Options& options) {
  std::vector<Row> rows;
  print_hop(bench);
  print_heading();
  for (const Scenario& scenario : scenarios()) {
    const auto& only = options.only;
    if (!only.empty() && std::find(only.begin(), only.end(), scenario.axis) == only.end()) continue;
    auto more = run_scenario(bench, scenario);
    if (!more) return fail(std::move(more.error()));
    rows.insert(rows.end(), more->begin(), more->end());
  }
  return rows;
}

Result<identity::HostResolver> make_resolver(HostResolverOptions::Lookup lookup) {
  HostResolverOptions options;
  options.lookup = lookup;
  return identity::make_host_resolver(std::move(options));
}

Result<void> run(const Options& options) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  if (auto done = enter_own_network(); !done) return done;
  const ClientProgram program;
  if (!program.ready()) return fail(Errc::system, "no copy of the program in /tmp");
  const auto fast = make_resolver(HostResolverOptions::Lookup::automatic);
  if (!fast) return fail(fast.error());
  const auto fallback = make_resolver(HostResolverOptions::Lookup::procfs);
  if (!fallback) return fail(fallback.error());
  for (const identity::Ability& ability : fast->abilities)
    fmt::print("{}: {}\n", ability.name,
               ability.available ? "yes" : "no (" + ability.detail + "): " + ability.instead);
  net::Loop loop;
  std::error_code error;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe", error).string();
  Plan plan;
  if (options.quick) plan = {300, 5, std::chrono::milliseconds(300)};
  auto rows =
      run_all({loop, *fast->resolver, *fallback->resolver, self, program.path(), plan}, options);
  if (!rows) return fail(std::move(rows.error()));
  print_ratios(*rows);
  if (options.svg.empty()) return {};
  return write_chart(options.svg, *rows);
}

int main_program(const std::vector<std::string>& arguments) {
  if (is_role(arguments)) return play_role(arguments);
  const auto options = parse(arguments);
  if (!options) {
    fmt::print(stderr, "usage: bench_identity [--quick] [--svg FILE] [--only AXIS]...\n");
    return EXIT_FAILURE;
  }
  if (const auto done = run(*options); !done) {
    fmt::print(stderr, "bench_identity: {}\n", describe(done.error()));
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace warder::bench

int main(int argc, char** argv) {
  return warder::bench::main_program(std::vector<std::string>(argv + 1, argv + argc));
}
