#include "gate.h"

#include <fmt/format.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <thread>
#include <utility>

#include "opa-client/json.h"
#include "paced.h"

namespace warder::bench {
namespace {

constexpr std::uint16_t kPort = 3128;
constexpr std::chrono::milliseconds kBetweenTries{20};
constexpr int kTries = 1500;

net::Endpoint loopback(std::uint16_t port) { return {net::IpAddress::v4({127, 0, 0, 1}), port}; }

void write_file(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string opa_log(const GateSite& site) { return site.directory + "/opa.log"; }
std::string warder_log(const GateSite& site) { return site.directory + "/warder.log"; }

void configure(const GateSite& site, const std::string& socket) {
  // No max_age: every request is decided.
  write_file(
      site.directory + "/data.json",
      fmt::format(
          R"({{"revision":"bench","network_policies":{{"origin":{{)"
          R"("endpoints":[{{"host":"127.0.0.1","port":{}}}],"binaries":[{{"path":"{}"}}]}}}}}})",
          kOriginPort, site.self));
  const std::string limit = site.limit.empty() ? "" : ", max_denials_per_second: " + site.limit;
  // OPA's timeout: a machine that is busy with something else makes no refusal of it.
  write_file(site.directory + "/warder.yaml",
             fmt::format("listen: [\"127.0.0.1:{}\"]\nadmin: none\n"
                         "opa: {{ url: \"unix://{}\", timeout: 10s{} }}\n"
                         "guard: {{ allow_loopback: true }}\n",
                         kPort, socket, limit));
}

// Warder accepts before it decides.
Result<void> wait_until_it_decides(const Process& opa, const Process& warder) {
  std::string authority = fmt::format("127.0.0.1:{}", kOriginPort);
  for (int i = 0; i < kTries; ++i) {
    if (auto runs = opa.still_runs(); !runs) return fail(Errc::closed_by_peer, "OPA has ended");
    if (auto runs = warder.still_runs(); !runs)
      return fail(Errc::closed_by_peer, "Warder has ended");
    const auto answers = ask_at_pace({loopback(kPort), false, 1, 1, 1},
                                     [&](std::uint64_t) -> std::string { return authority; });
    if (answers && answers->by_status.contains(200)) return {};
    std::this_thread::sleep_for(kBetweenTries);
  }
  return fail(Errc::timed_out, "Warder was not ready");
}

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

std::string_view text_of(const rapidjson::Value& object, const char* name) {
  const auto found = object.FindMember(name);
  if (found == object.MemberEnd() || !found->value.IsString()) return {};
  return {found->value.GetString(), found->value.GetStringLength()};
}

}  // namespace

Gate::Gate(const GateSite& site, Process origin, Process opa, Process warder)
    : site_(site), origin_(std::move(origin)), opa_(std::move(opa)), warder_(std::move(warder)) {}

Result<std::unique_ptr<Gate>> Gate::start(const GateSite& site) {
  const std::string socket = site.directory + "/opa.sock";
  configure(site, socket);
  std::filesystem::remove(socket);
  std::filesystem::remove(opa_log(site));
  std::filesystem::remove(warder_log(site));
  const std::string noise = site.directory + "/other.log";
  auto origin = Process::start({site.self, "origin", std::to_string(kOriginPort)}, {noise, noise});
  if (!origin) return fail(origin.error());
  // As scripts/up has it.
  auto opa =
      Process::start({site.opa, "run", "--server", "--addr", "unix://" + socket,
                      "--skip-version-check", "--log-format", "json", "--set",
                      "decision_logs.console=true", site.policy, site.directory + "/data.json"},
                     {noise, opa_log(site)});
  if (!opa) return fail(opa.error());
  auto warder = Process::start({site.warder, "run", "--config", site.directory + "/warder.yaml"},
                               {warder_log(site), noise});
  if (!warder) return fail(warder.error());
  if (auto ready = wait_until_it_decides(*opa, *warder); !ready) return fail(ready.error());
  return std::unique_ptr<Gate>(
      new Gate(site, std::move(*origin), std::move(*opa), std::move(*warder)));
}

net::Endpoint Gate::address() const { return loopback(kPort); }
double Gate::warder_seconds() const { return seconds(group_cpu(warder_.pid())); }
double Gate::opa_seconds() const { return seconds(group_cpu(opa_.pid())); }

Result<void> Gate::stop() {
  ::kill(warder_.pid(), SIGTERM);
  for (int i = 0; i < kTries; ++i) {
    if (!warder_.still_runs()) return {};
    std::this_thread::sleep_for(kBetweenTries);
  }
  return fail(Errc::timed_out, "Warder did not end");
}

Result<Gate::Told> Gate::told() const {
  Told told;
  std::ifstream decisions(opa_log(site_));
  for (std::string line; std::getline(decisions, line);) {
    if (line.find("\"decision_id\"") != std::string::npos &&
        line.find(kDeniedName) != std::string::npos)
      ++told.asked;
  }
  std::ifstream records(warder_log(site_));
  for (std::string line; std::getline(records, line);) {
    const auto record = opa::parse_json(line);
    if (!record || !record->IsObject())
      return fail(Errc::bad_response, "a line of Warder's log that is no record");
    const auto event = text_of(*record, "event");
    if (event == "dropped") return fail(Errc::bad_response, "Warder has lost records");
    if (text_of(*record, "binary") != site_.flooder) continue;
    if (event != "decision" && event != "repeated") continue;
    ++told.lines;
    const auto count = record->FindMember("count");
    told.denied += event == "decision" ? 1 : count->value.GetUint64();
  }
  return told;
}

}  // namespace warder::bench
