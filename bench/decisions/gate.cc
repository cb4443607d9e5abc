#include "gate.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>

#include "http/process.h"
#include "net/address.h"
#include "net/socket.h"

namespace warder::bench {
namespace {

constexpr std::uint16_t kPort = 3128;
constexpr int kHosts = 40;
constexpr int kWait = 10'000;  // milliseconds
constexpr std::chrono::milliseconds kBetweenTries{20};
constexpr int kTries = 1500;

void write_file(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string own_path() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

// A connection to the gate; nothing where there is none.
net::UniqueFd connect_to_gate() {
  auto fd = net::start_connect(*net::Endpoint::parse(fmt::format("127.0.0.1:{}", kPort)));
  if (!fd) return {};
  pollfd entry{fd->get(), POLLOUT, 0};
  if (::poll(&entry, 1, kWait) != 1 || net::so_error(fd->get()) != 0) return {};
  return std::move(*fd);
}

// Asks for a tunnel and waits for the answer, whatever it is.
bool ask(const std::string& authority) {
  const net::UniqueFd fd = connect_to_gate();
  if (!fd) return false;
  const std::string head = fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", authority);
  if (::send(fd.get(), head.data(), head.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(head.size()))
    return false;
  pollfd entry{fd.get(), POLLIN, 0};
  return ::poll(&entry, 1, kWait) == 1;
}

Result<void> wait_until_it_answers(const Process& opa, const Process& warder) {
  for (int i = 0; i < kTries; ++i) {
    if (auto runs = opa.still_runs(); !runs) return fail(Errc::closed_by_peer, "OPA has ended");
    if (auto runs = warder.still_runs(); !runs)
      return fail(Errc::closed_by_peer, "Warder has ended");
    if (connect_to_gate()) return {};
    std::this_thread::sleep_for(kBetweenTries);
  }
  return fail(Errc::timed_out, "Warder was not ready");
}

}  // namespace

Result<std::string> log_of_gate(const GateSite& site, int requests) {
  const std::string socket = site.directory + "/opa.sock";
  const std::string data = site.directory + "/data.json";
  const std::string config = site.directory + "/warder.yaml";
  write_file(data, fmt::format(R"({{"revision":"bench","network_policies":{{"origins":{{)"
                               R"("endpoints":[{{"host":"10.1.2.3","port":443}}],)"
                               R"("binaries":[{{"path":"{}"}}]}}}}}})",
                               own_path()));
  // No limit: most of the requests are denied, and each has to be in OPA's log.
  write_file(config, fmt::format("listen: [\"127.0.0.1:{}\"]\nadmin: none\nworkers: 1\n"
                                 "opa: {{ url: \"unix://{}\", timeout: 10s, "
                                 "max_denials_per_second: 0 }}\n",
                                 kPort, socket));
  const std::string log = site.directory + "/opa.log";
  auto opa = Process::start(
      {site.opa, "run", "--server", "--addr", "unix://" + socket, "--skip-version-check",
       "--log-format", "json", "--set", "decision_logs.console=true", site.policy, data},
      {site.directory + "/opa.out", log});
  if (!opa) return fail(std::move(opa.error()));
  for (int i = 0; i < kTries && !std::filesystem::exists(socket); ++i) {
    std::this_thread::sleep_for(kBetweenTries);
  }
  const std::string warder_log = site.directory + "/warder.log";
  auto warder = Process::start({site.warder, "run", "--config", config}, {warder_log, warder_log});
  if (!warder) return fail(std::move(warder.error()));
  if (auto ready = wait_until_it_answers(*opa, *warder); !ready) return fail(ready.error());
  for (int i = 0; i < requests; ++i) {
    const std::string authority =
        i % 4 == 0 ? "10.1.2.3:443" : fmt::format("host{}.example.com:443", i % kHosts);
    if (!ask(authority)) return fail(Errc::timed_out, "no answer from Warder");
  }
  std::ifstream file(log);
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

}  // namespace warder::bench
