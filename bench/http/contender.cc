#include "contender.h"

#include <fmt/core.h>
#include <poll.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <thread>
#include <utility>

#include "net/socket.h"
#include "opa-client/json.h"
#include "origin.h"

namespace warder::bench {
namespace {

constexpr std::uint16_t kWarderReusePort = 3101;
constexpr std::uint16_t kWarderDecidePort = 3102;
constexpr std::uint16_t kSquidPort = 3103;
constexpr std::uint16_t kApachePort = 3104;
constexpr std::uint16_t kEnvoyPort = 3105;
constexpr const char* kSquid = "/usr/sbin/squid";
constexpr const char* kApache = "/usr/sbin/apache2";
constexpr std::chrono::seconds kReadyWithin{30};
constexpr std::chrono::milliseconds kBetweenTries{20};

Result<void> write_file(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
  file.close();
  if (!file) return fail(Errc::system, "can't write " + path);
  return {};
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool accepts(const Server& server) {
  const auto* endpoint = std::get_if<net::Endpoint>(&server);
  const auto fd = endpoint != nullptr ? net::start_connect(*endpoint)
                                      : net::start_connect_unix(std::get<std::string>(server));
  if (!fd) return false;
  pollfd entry{fd->get(), POLLOUT, 0};
  return ::poll(&entry, 1, 1000) == 1 && net::so_error(fd->get()) == 0;
}

// Ready is who accepts a connection: none of them has another way to say it that all have.
Result<Process> start_ready(const std::string& name, const std::vector<std::string>& command,
                            const Process::Output& output, const Server& at) {
  auto process = Process::start(command, output);
  if (!process) return process;
  const auto explain = [&](std::string what) {
    std::string printed = read_file(output.err);
    if (printed.size() > 2000) printed.erase(0, printed.size() - 2000);
    return fail(Errc::timed_out, name + " " + std::move(what) + "\n" + printed);
  };
  const auto begin = Clock::now();
  while (!accepts(at)) {
    if (!process->still_runs()) return explain("ended before it was ready");
    if (Clock::now() - begin > kReadyWithin) return explain("was not ready within 30 s");
    std::this_thread::sleep_for(kBetweenTries);
  }
  return process;
}

// The first word with digits, a dot and digits in what a command prints; empty where it can't be
// run.
std::string version_said_by(const std::string& command) {
  std::FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return {};
  std::string text;
  char part[256];
  while (std::fgets(part, sizeof part, pipe) != nullptr) text += part;
  ::pclose(pipe);
  constexpr const char* kDigits = "0123456789";
  std::size_t dot = text.find('.');
  while (dot != std::string::npos && (dot == 0 || std::strchr(kDigits, text[dot - 1]) == nullptr))
    dot = text.find('.', dot + 1);
  if (dot == std::string::npos) return {};
  const std::size_t begin = text.find_last_not_of(kDigits, dot - 1) + 1;
  const std::size_t end = text.find_first_not_of("0123456789.", dot);
  return text.substr(begin, std::min(end, text.size()) - begin);
}

Process::Output into_files(const Site& site, const std::string& name) {
  return {site.directory + "/" + name + ".out", site.directory + "/" + name + ".err"};
}

Result<Contender> contender(std::string name, std::string label, Result<Process> process,
                            std::uint16_t port) {
  if (!process) return fail(std::move(process.error()));
  Contender made{std::move(name), std::move(label), {}, loopback(port), kReusePort, false};
  made.processes.push_back(std::move(*process));
  return made;
}

// JSON is YAML.
std::string policies(const Site& site) {
  const auto policy = [&](std::uint16_t port, const char* reuse) {
    return fmt::format(
        R"({{"endpoints":[{{"host":"127.0.0.1","port":{}}}],"binaries":[{{"path":"{}"}}]{}}})",
        port, site.self, reuse);
  };
  return fmt::format(R"({{"revision":"bench","network_policies":{{"reuse":{},"decide":{}}}}})",
                     policy(kReusePort, R"(,"max_age":10)"), policy(kDecidePort, ""));
}

}  // namespace

Result<Process> start_origin(const Site& site) {
  return start_ready("the origin",
                     {site.self, "origin", std::to_string(kReusePort), std::to_string(kDecidePort)},
                     into_files(site, "origin"), loopback(kDecidePort));
}

Result<Opa> start_opa(const Site& site) {
  const std::string data = site.directory + "/data.json";
  if (auto done = write_file(data, policies(site)); !done) return fail(std::move(done.error()));
  const std::string socket = site.directory + "/opa.sock";
  const Process::Output output = into_files(site, "opa");
  // As scripts/up has it.
  auto process =
      start_ready("OPA",
                  {site.opa, "run", "--server", "--addr", "unix://" + socket,
                   "--skip-version-check", "--optimize-store-for-read-speed", "--log-format",
                   "json", "--set", "decision_logs.console=true", site.policy, data},
                  output, socket);
  if (!process) return fail(std::move(process.error()));
  return Opa{std::move(*process), socket, output.err};
}

Result<Contender> start_warder(const Site& site, const Opa& opa, bool reuse) {
  const std::string name = reuse ? "warder" : "warder-decide";
  const std::uint16_t port = reuse ? kWarderReusePort : kWarderDecidePort;
  const std::string file = fmt::format("{}/{}.yaml", site.directory, name);
  // OPA's timeout: a machine that is busy with something else makes no refusal of it.
  auto written = write_file(
      file,
      fmt::format(
          "listen: [\"127.0.0.1:{}\"]\nadmin: none\nopa: {{ url: \"unix://{}\", timeout: 10s }}\n"
          "guard: {{ allow_loopback: true }}\nlog: {{ level: {} }}\n",
          port, opa.socket, site.access_log ? "info" : "warn"));
  if (!written) return fail(std::move(written.error()));
  auto made = contender(name, reuse ? "Warder, answer reused" : "Warder, one decision each",
                        start_ready("Warder", {site.warder, "run", "--config", file},
                                    into_files(site, name), loopback(port)),
                        port);
  if (!made) return made;
  // It accepts before OPA has answered its probe, and refuses until then.
  std::this_thread::sleep_for(std::chrono::seconds(1));
  made->asks_opa = true;
  if (!reuse) made->origin_port = kDecidePort;
  return made;
}

Result<Contender> start_squid(const Site& site) {
  const std::string file = site.directory + "/squid.conf";
  const std::string log =
      site.access_log ? fmt::format("stdio:{}/squid-access.log", site.directory) : "none";
  auto written = write_file(
      file, fmt::format("http_port 127.0.0.1:{}\nhttp_access allow all\ncache deny all\n"
                        "cache_mem 0\naccess_log {}\ncache_log stdio:/dev/stderr\n"
                        "cache_store_log none\npid_filename none\nshutdown_lifetime 0 seconds\n"
                        "coredump_dir {}\nnetdb_filename none\npinger_enable off\n"
                        "max_filedescriptors 4096\n",
                        kSquidPort, log, site.directory));
  if (!written) return fail(std::move(written.error()));
  return contender("squid", "Squid " + version_said_by(std::string(kSquid) + " -v"),
                   start_ready("Squid", {kSquid, "-N", "-f", file}, into_files(site, "squid"),
                               loopback(kSquidPort)),
                   kSquidPort);
}

Result<Contender> start_apache(const Site& site) {
  const std::string file = site.directory + "/apache.conf";
  std::string text = fmt::format(
      "ServerRoot {0}\nServerName localhost\nPidFile {0}/apache.pid\nListen 127.0.0.1:{1}\n"
      "User www-data\nGroup www-data\nErrorLog {0}/apache.err\nLogLevel warn\n",
      site.directory, kApachePort);
  for (const char* module : {"mpm_event", "authz_core", "proxy", "proxy_http"})
    text += fmt::format("LoadModule {0}_module /usr/lib/apache2/modules/mod_{0}.so\n", module);
  // With Debian's 25 threads in each of 2 processes the event MPM ends idle connections when 64 are
  // open. Connections to an origin are kept only where a worker is set up for it.
  text +=
      "StartServers 2\nMinSpareThreads 64\nMaxSpareThreads 128\nThreadLimit 64\n"
      "ThreadsPerChild 64\nMaxRequestWorkers 128\nMaxConnectionsPerChild 0\nKeepAlive On\n"
      "MaxKeepAliveRequests 0\nKeepAliveTimeout 60\nProxyRequests On\n<Proxy \"*\">\n"
      "Require all granted\n</Proxy>\n";
  text += fmt::format(
      "<Proxy \"http://127.0.0.1:{}/\">\nProxySet enablereuse=on keepalive=on\n</Proxy>\n",
      kReusePort);
  if (site.access_log)
    text += fmt::format(
        "LoadModule log_config_module /usr/lib/apache2/modules/mod_log_config.so\n"
        "CustomLog {}/apache-access.log \"%h %l %u %t \\\"%r\\\" %>s %O\"\n",
        site.directory);
  if (auto written = write_file(file, text); !written) return fail(std::move(written.error()));
  return contender("apache", "Apache httpd " + version_said_by(std::string(kApache) + " -v"),
                   start_ready("Apache", {kApache, "-DFOREGROUND", "-f", file},
                               into_files(site, "apache"), loopback(kApachePort)),
                   kApachePort);
}

Result<Contender> start_envoy(const Site& site) {
  const std::string file = site.directory + "/envoy.yaml";
  const std::string log = site.access_log ? fmt::format(R"(
          access_log:
          - name: envoy.access_loggers.file
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
              path: {}/envoy-access.log)",
                                                        site.directory)
                                          : "";
  // As in Envoy's example of a forward proxy.
  auto written = write_file(file, fmt::format(R"(static_resources:
  listeners:
  - address: {{ socket_address: {{ address: 127.0.0.1, port_value: {} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: forward{}
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{ prefix: "/" }}
                route: {{ cluster: origins, timeout: 0s }}
          http_filters:
          - name: envoy.filters.http.dynamic_forward_proxy
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.dynamic_forward_proxy.v3.FilterConfig
              dns_cache_config: &dns {{ name: dns, dns_lookup_family: V4_ONLY }}
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
  clusters:
  - name: origins
    lb_policy: CLUSTER_PROVIDED
    cluster_type:
      name: envoy.clusters.dynamic_forward_proxy
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig
        dns_cache_config: *dns
)",
                                              kEnvoyPort, log));
  if (!written) return fail(std::move(written.error()));
  return contender(
      "envoy", "Envoy " + version_said_by(site.envoy + " --version"),
      start_ready("Envoy", {site.envoy, "-c", file, "-l", "warn", "--use-dynamic-base-id"},
                  into_files(site, "envoy"), loopback(kEnvoyPort)),
      kEnvoyPort);
}

Result<std::string> asked_question(const Opa& opa) {
  std::ifstream log(opa.decision_log);
  for (std::string line; std::getline(log, line);) {
    if (line.find("\"decision_id\"") == std::string::npos) continue;
    const auto entry = opa::parse_json(line);
    if (!entry || !entry->IsObject()) continue;
    const auto input = entry->FindMember("input");
    if (input == entry->MemberEnd()) continue;
    rapidjson::StringBuffer document;
    rapidjson::Writer<rapidjson::StringBuffer> writer(document);
    input->value.Accept(writer);
    const std::string body = fmt::format(R"({{"input":{}}})", document.GetString());
    return fmt::format(
        "POST /v1/data/egress/decision HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
        "application/json\r\nContent-Length: {}\r\n\r\n{}",
        body.size(), body);
  }
  return fail(Errc::not_found, "no question of Warder's in OPA's decision log");
}

}  // namespace warder::bench
