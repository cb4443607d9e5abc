#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "net/timer.h"
#include "proxy/connection.h"
#include "proxy/listener.h"
#include "proxy/name_servers_log.h"
#include "proxy/services.h"

namespace warder::proxy {

// What all workers share. All of it outlives them and may be used on any thread.
struct Shared {
  const Config& config;
  opa::ClientOptions opa;  // see opa_options()
  identity::Resolver& identities;
  const AddressGuard& guard;
  OpaAddresses& opa_addresses;  // to be told of those found for OPA's name
  ConnectionLimits& limits;
  RecordSink& records;
  Metrics& metrics;
  RevisionListener& revisions;
  const StartupGate& gate;
  DenialLimit& denials;
  const std::string& pseudonym;
  NameServersLog& name_servers;
};

// One event loop on a thread of its own, with listeners, OPA connections and name resolver of its
// own.
class Worker final : Connection::Owner {
 public:
  // Listens at once; nothing is accepted before start(). `shared` outlives the worker.
  static Result<std::unique_ptr<Worker>> create(const Shared& shared,
                                                const std::vector<net::Endpoint>& listen);
  // Ends everything and waits for the thread.
  ~Worker();

  // Where it listens (ports filled in).
  [[nodiscard]] std::vector<net::Endpoint> addresses() const;
  void start();
  // Any thread. Stops accepting, lets what is open go on for timeouts.drain, then ends it. The
  // thread ends by itself; `on_drained` is called on it as its last act.
  void drain(std::function<void()> on_drained);
  // Any thread. The policy says that it is of this revision.
  void saw_revision(std::optional<std::string> revision);
  // Any thread. The paths that the policy of this revision mentions are known (policy_names.h).
  void names_read(std::optional<std::string> revision);
  // Any thread. Ends everything now.
  void end_now();

 private:
  explicit Worker(const Shared& shared);
  Result<void> open(const std::vector<net::Endpoint>& listen);
  [[nodiscard]] opa::ClientOptions opa_client_options();
  void accepted(net::Accepted accepted);
  [[nodiscard]] std::string full_text(ConnectionLimits::Full full) const;
  void on_closed(Connection& connection) override;
  void end_all(const std::string& reason);
  void stop_if_drained();

  const Shared& shared_;
  net::Loop loop_;
  std::unique_ptr<net::NameResolver> names_;
  std::unique_ptr<net::NameResolver> opa_names_;  // the same, watched
  std::optional<tls::ClientHelloParser> hellos_;
  std::unique_ptr<opa::Client> opa_;
  std::unique_ptr<UpstreamPool> upstreams_;
  std::optional<opa::AnswerReuse> reuse_;
  std::optional<Reauthorizer> reauthorizer_;
  std::unique_ptr<Services> services_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Connection>> connections_;
  std::size_t refusing_ = 0;
  std::uint64_t next_id_ = 1;
  bool draining_ = false;
  std::function<void()> on_drained_;
  net::Timer drain_timer_;
  std::thread thread_;
};

}  // namespace warder::proxy
