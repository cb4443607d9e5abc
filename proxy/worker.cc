#include "proxy/worker.h"

#include <fmt/format.h>

#include <utility>

#include "proxy/exchange_record.h"
#include "proxy/name_options.h"
#include "proxy/opa_options.h"
#include "proxy/request_id.h"

namespace warder::proxy {

namespace {

// Above the limits a client is still told so, as long as no more than this many are being told.
constexpr std::size_t kRefusedAtOnce = 64;

net::NameResolverOptions dns_options(const Shared& shared) {
  net::NameResolverOptions options = name_options(shared.config);
  options.on_lookup = [&metrics = shared.metrics](net::LookupSource source) {
    metrics.count_name_lookup(source);
  };
  options.on_servers = [&log = shared.name_servers](const net::NameServers& servers) {
    log.tell(servers);
  };
  return options;
}

}  // namespace

Worker::Worker(const Shared& shared)
    : shared_(shared), drain_timer_(loop_, [this] { end_all("drain"); }) {}

Result<std::unique_ptr<Worker>> Worker::create(const Shared& shared,
                                               const std::vector<net::Endpoint>& listen) {
  std::unique_ptr<Worker> worker(new Worker(shared));
  if (Result<void> opened = worker->open(listen); !opened) return fail(opened.error());
  return worker;
}

Result<void> Worker::open(const std::vector<net::Endpoint>& listen) {
  auto names = net::make_name_resolver(loop_, dns_options(shared_));
  if (!names) return fail(names.error());
  names_ = std::move(*names);
  Result<tls::ClientHelloParser> hellos = tls::ClientHelloParser::create();
  if (!hellos) return fail(std::move(hellos.error()));
  hellos_.emplace(std::move(*hellos));
  opa_ = opa::make_client(loop_, opa_client_options());
  reuse_.emplace(opa::ReuseOptions{shared_.config.opa.max_age});
  reauthorizer_.emplace(loop_, shared_.records, *reuse_);
  UpstreamPool::Options pool;
  pool.idle = shared_.config.timeouts.upstream_idle;
  upstreams_ = std::make_unique<UpstreamPool>(loop_, pool);
  services_ = std::make_unique<Services>(Services{
      loop_, *opa_, *names_, *hellos_, shared_.config, shared_.identities, shared_.guard,
      shared_.limits, shared_.records, shared_.metrics, *upstreams_, *reuse_, *reauthorizer_,
      shared_.revisions, shared_.gate, shared_.denials, shared_.pseudonym});
  for (const net::Endpoint& at : listen) {
    auto listener = Listener::create(loop_, shared_.records, at, [this](net::Accepted connection) {
      accepted(std::move(connection));
    });
    if (!listener) return fail(listener.error());
    listeners_.push_back(std::move(*listener));
  }
  return {};
}

opa::ClientOptions Worker::opa_client_options() {
  const Config::Opa& config = shared_.config.opa;
  opa::ClientOptions options = shared_.opa;
  opa_names_ = find_opa_by(*names_, shared_.opa_addresses, options);
  options.max_connections = config.connections;
  options.max_waiting = config.queue;
  options.breaker_failures = config.breaker_failures;
  options.breaker_pause = config.breaker_pause;
  options.on_event = [this](const opa::ClientEvent& event) {
    shared_.records.write(opa_diagnostic(event));
    shared_.metrics.note_opa(event);
  };
  return options;
}

Worker::~Worker() {
  end_now();
  if (thread_.joinable()) thread_.join();
  listeners_.clear();
  connections_.clear();
}

std::vector<net::Endpoint> Worker::addresses() const {
  std::vector<net::Endpoint> addresses;
  for (const auto& listener : listeners_) addresses.push_back(listener->address());
  return addresses;
}

void Worker::start() {
  thread_ = std::thread([this] {
    loop_.run();
    if (on_drained_) on_drained_();
  });
}

void Worker::accepted(net::Accepted connection) {
  ConnectionLimits::Taken taken =
      shared_.limits.take_connection(connection.peer.address.unmapped());
  if (!taken.slot && refusing_ >= kRefusedAtOnce) {
    // The client is not told; the record is still due.
    DecisionRecord record = limit_record(new_request_id(), connection.peer, full_text(taken.full));
    record.status = 0;
    shared_.records.write(record);
    shared_.metrics.count_decision(record.verdict, record.code);
    return;
  }
  const std::uint64_t id = next_id_++;
  auto owned = std::make_unique<Connection>(*services_, static_cast<Connection::Owner&>(*this), id,
                                            std::move(connection.fd), connection.peer);
  Connection& accepted = *owned;
  connections_.emplace(id, std::move(owned));
  if (taken.slot) return accepted.serve(std::move(*taken.slot));
  ++refusing_;
  accepted.refuse_for_limit(full_text(taken.full));
}

std::string Worker::full_text(ConnectionLimits::Full full) const {
  const ConnectionLimits::Maxima& maxima = shared_.limits.maxima();
  return full == ConnectionLimits::Full::client
             ? fmt::format("This client has {} connections open, as many as it may have.",
                           maxima.per_client)
             : fmt::format("The proxy has {} connections open, as many as it may have.",
                           maxima.total);
}

void Worker::on_closed(Connection& connection) {
  const auto found = connections_.find(connection.id());
  if (found == connections_.end()) return;
  if (connection.refused_for_limit()) --refusing_;
  loop_.retire(std::move(found->second));
  connections_.erase(found);
  stop_if_drained();
}

void Worker::drain(std::function<void()> on_drained) {
  loop_.post([this, done = std::move(on_drained)]() mutable {
    if (draining_) return;
    draining_ = true;
    on_drained_ = std::move(done);
    listeners_.clear();
    drain_timer_.start(shared_.config.timeouts.drain);
    // A connection may leave the table while it is told.
    std::vector<Connection*> open;
    for (auto& [id, connection] : connections_) open.push_back(connection.get());
    for (Connection* connection : open) connection->drain();
    stop_if_drained();
  });
}

void Worker::saw_revision(std::optional<std::string> revision) {
  loop_.post([this, revision = std::move(revision)] { reauthorizer_->saw_revision(revision); });
}

void Worker::names_read(std::optional<std::string> revision) {
  loop_.post([this, revision = std::move(revision)] { reauthorizer_->names_read(revision); });
}

void Worker::end_now() {
  loop_.post([this] {
    draining_ = true;
    listeners_.clear();
    end_all("shutdown");
  });
}

void Worker::end_all(const std::string& reason) {
  std::vector<Connection*> open;
  for (auto& [id, connection] : connections_) open.push_back(connection.get());
  for (Connection* connection : open) connection->end(reason);
  stop_if_drained();
}

void Worker::stop_if_drained() {
  if (draining_ && connections_.empty()) {
    drain_timer_.stop();
    loop_.stop();
  }
}

}  // namespace warder::proxy
