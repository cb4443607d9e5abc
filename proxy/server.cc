#include "proxy/server.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "identity/host_resolver.h"
#include "net/loop.h"
#include "proxy/admin.h"
#include "proxy/connection_limits.h"
#include "proxy/identity_options.h"
#include "proxy/metrics.h"
#include "proxy/name_options.h"
#include "proxy/name_servers_log.h"
#include "proxy/opa_certificates.h"
#include "proxy/opa_options.h"
#include "proxy/policy_names.h"
#include "proxy/readiness.h"
#include "proxy/record_writer.h"
#include "proxy/request_id.h"
#include "proxy/worker.h"

namespace warder::proxy {

namespace {

std::size_t worker_count(const Config& config) {
  if (config.workers != 0) return config.workers;
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
  return static_cast<std::size_t>(std::max(1, CPU_COUNT(&cores)));
}

// The process's own thread: signals, probes and the admin server; the workers' comings and goings.
class Server {
 public:
  Server(const Config& config, Metrics& metrics, RecordSink& records)
      : config_(config),
        metrics_(metrics),
        records_(records),
        limits_({connections_for_descriptors(config.limits.connections, kReservedDescriptors),
                 config.limits.connections_per_client, config.limits.connections_per_identity}),
        denials_(config.opa.max_denials_per_second) {}

  int run() {
    for (const std::string& warning : config_.warnings) {
      records_.write(Diagnostic{LogLevel::warn, "config", warning, {}});
    }
    if (const Result<void> opened = open(); !opened) {
      records_.write(Diagnostic{LogLevel::error, "start_failed", describe(opened.error()), {}});
      return 1;
    }
    tell_started();
    for (const auto& worker : workers_) worker->start();
    readiness_->set_listening(true);
    names_->start();
    readiness_->start();
    if (certificates_) certificates_->start();
    loop_.run();
    workers_.clear();
    admin_.reset();
    records_.write(Diagnostic{LogLevel::info, "stopped", "All connections are closed.", {}});
    return 0;
  }

 private:
  Result<void> open() {
    Result<opa::ClientOptions> opa = opa_options(config_.opa);
    if (!opa) return fail(opa.error());
    auto options = identity_options(config_.identity);
    options.policy_paths = &policy_paths_;
    auto identities = identity::make_host_resolver(std::move(options));
    if (!identities) return fail(identities.error());
    identities_ = std::move(identities->resolver);
    tell_abilities(identities->abilities);
    if (Result<void> asked = open_opa(*opa); !asked) return asked;
    names_ = std::make_unique<PolicyNames>(
        loop_, *opa_, policy_paths_, records_, metrics_,
        PolicyNames::Options{.decision_path = config_.opa.path,
                             .refresh = config_.names.refresh,
                             .on_read =
                                 [this](const auto& revision) {
                                   for (const auto& worker : workers_) worker->names_read(revision);
                                 },
                             // One worker's answer is news for all of them.
                             .on_revision =
                                 [this](const auto& revision) {
                                   for (const auto& worker : workers_) {
                                     worker->saw_revision(revision);
                                   }
                                 }});
    shared_.emplace(Shared{config_, *opa, *identities_, guard_, opa_addresses_, limits_, records_,
                           metrics_, *names_, gate_, denials_, pseudonym_, name_servers_});
    if (Result<void> listening = open_workers(); !listening) return listening;
    readiness_ = std::make_unique<Readiness>(
        loop_, *opa_, *identities_, records_, gate_,
        Readiness::Options{
            .every = config_.opa.probe,
            .names = [this] { return names_->check(); },
            .read_names = [this] { names_->read_anew(); },
            .on_revision = [this](const auto& revision) { names_->saw_revision(revision); }});
    if (Result<void> admin = open_admin(); !admin) return admin;
    // Only now are all the ports known, and no worker runs yet.
    guard_ = AddressGuard(guard_options(opa->address));
    return open_signals();
  }

  // For the probes. Without a breaker, so that they say what the matter is.
  Result<void> open_opa(opa::ClientOptions options) {
    net::NameResolverOptions names = name_options(config_);
    names.on_servers = [this](const net::NameServers& servers) { name_servers_.tell(servers); };
    auto resolver = net::make_name_resolver(loop_, std::move(names));
    if (!resolver) return fail(resolver.error());
    resolver_ = std::move(*resolver);
    opa_names_ = find_opa_by(*resolver_, opa_addresses_, options);
    options.max_connections = 2;  // for the probes, and the policy's names
    if (options.tls) certificates_.emplace(loop_, options.tls, records_);
    opa_ = opa::make_client(loop_, std::move(options));
    return {};
  }

  // A way of looking that is missing weakens every answer to come, so each is told.
  void tell_abilities(const identity::Abilities& abilities) {
    metrics_.set_abilities(abilities);
    std::string names;
    bool all = true;
    for (const identity::Ability& ability : abilities) {
      names += (names.empty() ? "" : " ") + ability.name;
      if (ability.available) continue;
      all = false;
      records_.write(Diagnostic{
          LogLevel::warn,
          "identity_ability",
          fmt::format("{} is not possible here: {}. Instead: {}.", ability.name, ability.detail,
                      ability.instead),
          {{"name", ability.name}, {"missing", ability.detail}, {"instead", ability.instead}}});
    }
    if (!all || abilities.empty()) return;
    records_.write(Diagnostic{LogLevel::info,
                              "identity_abilities",
                              "Every way of finding out who is calling is there.",
                              {{"names", names}}});
  }

  // The workers share their ports by SO_REUSEPORT, which would let a second Warder of the same user
  // share them too, and with them the clients (socket(7)). An ordinary socket tells.
  Result<void> refuse_taken_ports() const {
    for (const net::Endpoint& at : config_.listen) {
      if (at.port == 0) continue;
      const Result<net::UniqueFd> alone = net::listen_tcp(at, 1, net::PortSharing::exclusive);
      if (!alone) return fail(alone.error());
    }
    return {};
  }

  Result<void> open_workers() {
    if (Result<void> free = refuse_taken_ports(); !free) return free;
    std::vector<net::Endpoint> listen = config_.listen;
    for (std::size_t i = 0; i < worker_count(config_); ++i) {
      Result<std::unique_ptr<Worker>> worker = Worker::create(*shared_, listen);
      if (!worker) return fail(worker.error());
      // The first worker's port 0 becomes a number that the others share.
      listen = (*worker)->addresses();
      workers_.push_back(std::move(*worker));
    }
    listen_ = std::move(listen);
    return {};
  }

  Result<void> open_admin() {
    if (!config_.admin) return {};
    auto admin = make_admin(
        *config_.admin, [this] { return checks(); }, metrics_);
    if (!admin) return fail(admin.error());
    admin_ = std::move(*admin);
    return {};
  }

  std::vector<Check> checks() const {
    std::vector<Check> checks = readiness_->checks();
    checks.push_back(names_->check());
    return checks;
  }

  Result<void> open_signals() {
    // Every write reports its own error.
    std::signal(SIGPIPE, SIG_IGN);
    for (const int number : {SIGTERM, SIGINT}) {
      net::Handle<uv_signal_t> handle(new uv_signal_t);
      if (const int rc = uv_signal_init(loop_.uv(), handle.get()); rc != 0) {
        return fail(from_errno(-rc, "uv_signal_init"));
      }
      handle->data = this;
      const int rc = uv_signal_start(
          handle.get(), [](uv_signal_t* h, int) { static_cast<Server*>(h->data)->on_signal(); },
          number);
      if (rc != 0) return fail(from_errno(-rc, "uv_signal_start"));
      signals_.push_back(std::move(handle));
    }
    return {};
  }

  GuardOptions guard_options(const opa::Address& opa_address) const {
    GuardOptions options;
    options.allow_loopback = config_.guard.allow_loopback;
    options.always_blocked = config_.guard.always_blocked;
    options.own_listeners = listen_;
    options.opa = &opa_addresses_;
    if (admin_) {
      if (const auto at = net::Endpoint::parse(admin_->address())) {
        options.own_listeners.push_back(*at);
      }
    }
    if (opa_address.kind == opa::Address::Kind::tcp && opa_address.name.empty()) {
      options.own_listeners.push_back(opa_address.endpoint);
    }
    return options;
  }

  void tell_started() {
    std::vector<std::pair<std::string, std::string>> fields;
    std::string where;
    for (const net::Endpoint& at : listen_) where += (where.empty() ? "" : " ") + at.text();
    fields.emplace_back("listen", where);
    if (admin_) fields.emplace_back("admin", admin_->address());
    fields.emplace_back("opa", config_.opa.url);
    fields.emplace_back("workers", fmt::format("{}", workers_.size()));
    fields.emplace_back("connections", fmt::format("{}", limits_.maxima().total));
    records_.write(Diagnostic{LogLevel::info, "started", "Warder accepts connections.", fields});
    if (limits_.maxima().total < config_.limits.connections) {
      records_.write(Diagnostic{
          LogLevel::warn,
          "config",
          fmt::format("limits.connections is lowered from {} to {}: the process may not have more "
                      "descriptors (RLIMIT_NOFILE).",
                      config_.limits.connections, limits_.maxima().total),
          {}});
    }
  }

  void on_signal() {
    if (std::exchange(draining_, true)) {
      for (const auto& worker : workers_) worker->end_now();
      return;
    }
    records_.write(Diagnostic{
        LogLevel::info, "draining", "No new connections; a second signal ends the open ones.", {}});
    readiness_->set_listening(false);
    for (const auto& worker : workers_) {
      worker->drain([this] {
        loop_.post([this] {
          if (++drained_ == workers_.size()) loop_.stop();
        });
      });
    }
  }

  const Config& config_;
  Metrics& metrics_;
  RecordSink& records_;
  ConnectionLimits limits_;
  net::Loop loop_;
  identity::PolicyPaths policy_paths_;
  std::unique_ptr<identity::Resolver> identities_;
  OpaAddresses opa_addresses_;
  AddressGuard guard_{GuardOptions{}};
  StartupGate gate_;
  DenialLimit denials_;
  const std::string pseudonym_ = new_pseudonym();
  NameServersLog name_servers_{records_};
  std::optional<Shared> shared_;
  std::unique_ptr<net::NameResolver> resolver_;   // of OPA's own name
  std::unique_ptr<net::NameResolver> opa_names_;  // the same, watched
  std::unique_ptr<opa::Client> opa_;
  std::optional<OpaCertificates> certificates_;
  std::unique_ptr<PolicyNames> names_;
  std::unique_ptr<Readiness> readiness_;
  std::unique_ptr<AdminServer> admin_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<net::Handle<uv_signal_t>> signals_;
  std::vector<net::Endpoint> listen_;
  bool draining_ = false;
  std::size_t drained_ = 0;
};

}  // namespace

int run_server(const Config& config) {
  Metrics metrics;
  auto records = RecordWriter::make(
      {.fd = STDOUT_FILENO,
       .level = config.log.level,
       .format = config.log.format,
       .queue = config.limits.log_queue,
       .on_drop = [&metrics](std::uint64_t count) { metrics.count_dropped_records(count); }});
  if (!records) {
    fmt::print(stderr, "warder: {}\n", describe(records.error()));
    return 1;
  }
  return Server(config, metrics, **records).run();
}

}  // namespace warder::proxy
