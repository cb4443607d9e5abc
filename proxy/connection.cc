#include "proxy/connection.h"

#include <array>
#include <cassert>
#include <utility>

#include "net/socket.h"
#include "proxy/exchange_record.h"
#include "proxy/request_id.h"

namespace warder::proxy {

namespace {

// A client may send this much behind its head before it has an answer; then TCP holds it back.
constexpr std::size_t kEarlyBytes = 65536;
constexpr std::size_t kReadsPerTurn = 16;
constexpr std::chrono::seconds kKeepaliveIdle{60};
constexpr std::chrono::seconds kKeepaliveInterval{15};
constexpr int kKeepaliveProbes = 4;
constexpr int kRetryAfterSeconds = 5;

using Buffer = std::array<char, 16384>;

http::HeadLimits head_limits(const Config& config) {
  http::HeadLimits limits;
  limits.head_bytes = config.limits.head_bytes;
  return limits;
}

Kind kind_of(const http::RequestHead& head) {
  return head.form == http::RequestForm::connect || head.method == "CONNECT" ? Kind::connect
                                                                             : Kind::forward;
}

}  // namespace

Connection::Connection(Services& services, Owner& owner, std::uint64_t id, net::UniqueFd fd,
                       net::Endpoint peer)
    : services_(services),
      owner_(owner),
      id_(id),
      peer_(peer),
      fd_(std::move(fd)),
      deadline_(services.loop, [this] { on_deadline(); }),
      request_id_(new_request_id()),
      reader_(head_limits(services.config)) {
  services_.metrics.connection_opened();
}

Connection::~Connection() { services_.metrics.connection_closed(); }

bool Connection::open_watcher() {
  auto watcher = net::FdWatcher::create(services_.loop, fd_.get(), *this);
  if (!watcher) return false;
  watcher_ = std::move(*watcher);
  return true;
}

void Connection::serve(ConnectionLimits::Slot slot) {
  slot_.emplace(std::move(slot));
  const Result<net::Endpoint> local = net::local_endpoint(fd_.get());
  if (!local || !open_watcher()) return close();
  net::set_nodelay(fd_.get());
  net::set_keepalive(fd_.get(), kKeepaliveIdle, kKeepaliveInterval, kKeepaliveProbes);
  caller_ = {peer_, *local, net::original_destination(fd_.get())};
  start_identity();
  deadline_.start(services_.config.timeouts.head);
  watcher_->watch({.readable = true});
}

void Connection::start_identity() {
  identity_began_ns_ = uv_hrtime();
  identity_lookup_ = services_.identities.start(
      caller_, services_.loop,
      [this](identity::Identity identity) { on_identity(std::move(identity)); });
}

void Connection::on_identity(identity::Identity identity) {
  identity_us_ = static_cast<std::int64_t>((uv_hrtime() - identity_began_ns_) / 1000);
  identity_ = std::move(identity);
  if (refused_request_) {
    refuse_request(refused_request_->status, refused_request_->code, refused_request_->reason);
  } else if (exchange_) {
    exchange_->begin(*identity_, identity_us_);
  }
}

void Connection::on_ready(net::FdWatcher&, net::Readiness readiness) {
  switch (state_) {
    case State::reading_head: return read_head();
    case State::exchanging: return read_early();
    case State::refusing:
      if (readiness.writable) return flush_refusal();
      return discard();
    case State::lingering: return discard();
    case State::checking_sni:
    case State::relaying:
    case State::closed: break;
  }
}

void Connection::read_head() {
  Buffer buffer;
  for (std::size_t i = 0; i < kReadsPerTurn; ++i) {
    const Result<net::Transfer> got = net::read_some(fd_.get(), buffer);
    if (!got) return close();
    if (got->would_block) return;
    if (got->end) {
      // Someone who connects and leaves without a word (a health check) is no request.
      if (!reader_.started()) return close();
      return head_failed({Errc::bad_request, 0, "The connection ended inside the request head"});
    }
    const Result<std::size_t> used = reader_.feed(std::span(buffer).first(got->bytes));
    if (!used) return head_failed(used.error());
    if (reader_.done()) return head_read({buffer.data() + *used, got->bytes - *used});
  }
}

void Connection::head_read(std::string rest) {
  early_ = std::move(rest);
  head_ = reader_.take();
  if (head_->form == http::RequestForm::connect) return start_exchange();
  if (head_->form != http::RequestForm::absolute) {
    return refuse_request(
        400, "not_a_proxy_request",
        "This is a proxy: send CONNECT host:port, or configure it as the proxy of "
        "your client.");
  }
  if (head_->scheme == "https") {
    return refuse_request(400, "use_connect",
                          "An https URL can't be forwarded: use CONNECT host:port.");
  }
  refuse_request(501, "forward_not_supported",
                 "Forwarding of plain http requests is not supported: use CONNECT host:port.");
}

void Connection::head_failed(const Error& error) {
  head_ = reader_.partial();
  refuse_request(status_for(error.code), std::string(code_name(error.code)), error.detail);
}

void Connection::start_exchange() {
  deadline_.stop();
  state_ = State::exchanging;
  Subject subject;
  subject.request_id = request_id_;
  subject.client = peer_;
  subject.host = head_->authority->host.name;
  subject.port = head_->authority->port;
  exchange_ =
      std::make_unique<ConnectExchange>(services_, static_cast<ConnectExchange::Listener&>(*this),
                                        caller_, *head_, std::move(subject));
  if (early_.size() >= kEarlyBytes) watcher_->stop();
  if (identity_) exchange_->begin(*identity_, identity_us_);
}

void Connection::read_early() {
  Buffer buffer;
  const Result<net::Transfer> got = net::read_some(fd_.get(), buffer);
  if (!got) {
    exchange_->abandon("client_gone",
                       "The client's connection broke: " + describe(got.error()) + ".");
    return close();
  }
  // After an orderly end the client still wants its answer; the relay sees the end again.
  if (got->end) return watcher_->stop();
  early_.append(buffer.data(), got->bytes);
  if (early_.size() >= kEarlyBytes) watcher_->stop();
}

void Connection::on_opened(Dialled origin) {
  // The descriptor goes to the relay, and libuv allows one watcher for each.
  watcher_.reset();
  net::set_nodelay(origin.fd.get());
  net::set_keepalive(origin.fd.get(), kKeepaliveIdle, kKeepaliveInterval, kKeepaliveProbes);
  tunnel_subject_ = exchange_->subject();
  opened_at_ms_ = services_.loop.now_ms();
  origin_ = std::move(origin.fd);
  if (exchange_->decision().sni) return check_sni();
  start_tunnel(std::exchange(early_, {}), established_head(tunnel_subject_));
}

void Connection::check_sni() {
  state_ = State::checking_sni;
  const Config::Timeouts& timeouts = services_.config.timeouts;
  sni_check_ = std::make_unique<SniCheck>(
      services_.loop, services_.hellos,
      SniCheck::Tunnel{fd_.get(), origin_.get(), head_->authority->host, std::exchange(early_, {}),
                       established_head(tunnel_subject_)},
      SniCheck::Limits{timeouts.client_hello, timeouts.connect},
      static_cast<SniCheck::Listener&>(*this));
  if (const Result<void> begun = sni_check_->begin(); !begun) {
    relay_ended({0, 0, ClosedBy::proxy, describe(begun.error())});
  }
}

void Connection::on_sni_passed(SniCheck::Rest rest) {
  checked_ = sni_check_->moved();
  services_.loop.retire(std::move(sni_check_));
  start_tunnel(rest.to_origin, rest.to_client);
}

void Connection::on_sni_failed(SniFailure failure) {
  checked_ = sni_check_->moved();
  services_.loop.retire(std::move(sni_check_));
  // Orderly, and with nothing in it that was not checked.
  origin_.reset();
  if (!failure.message.empty()) {
    services_.records.write(sni_diagnostic(tunnel_subject_, failure));
  }
  tunnel_ended({0, 0, failure.closed_by, std::move(failure.close_reason)});
  if (failure.closed_by != ClosedBy::proxy || !open_watcher()) return close();
  end_with(std::move(failure.alert));
}

void Connection::start_tunnel(const std::string& to_origin, const std::string& to_client) {
  state_ = State::relaying;
  auto relay = start_relay(services_.loop, std::move(fd_), std::move(origin_), to_origin, to_client,
                           {services_.config.timeouts.idle, services_.config.timeouts.drain},
                           [this](const RelayEnd& end) { relay_ended(end); });
  if (!relay) return relay_ended({0, 0, ClosedBy::proxy, describe(relay.error())});
  relay_ = std::move(*relay);
  services_.metrics.tunnel_opened();
  // Nobody was known at the opening, so nobody can have taken their place.
  if (exchange_->identity().grade != identity::Grade::unresolved) {
    deadline_.start(services_.config.tunnels.identity_check);
  }
}

void Connection::check_caller() {
  identity_lookup_ = services_.identities.confirm(
      caller_, exchange_->identity(), services_.loop,
      [this](const std::optional<identity::Change>& change) { caller_checked(change); });
}

void Connection::caller_checked(const std::optional<identity::Change>& change) {
  // One that has closed its end may still have bytes on the way to the origin; and a relay serves
  // whoever comes to it.
  if (!change || change->closed || change->behind) return;
  services_.records.write(Diagnostic{
      LogLevel::warn,
      "caller_changed",
      "A tunnel is closed because its caller is not the one any more that it was opened for.",
      {{"request_id", tunnel_subject_.request_id}, {"changed", change->what}}});
  relay_->end("caller_changed");
}

void Connection::on_refused(Refusal refusal) {
  early_ = {};
  end_with(render(refusal));
}

void Connection::end_with(std::string response) {
  response_ = std::move(response);
  state_ = State::refusing;
  deadline_.start(services_.config.timeouts.linger);
  flush_refusal();
}

void Connection::refuse_request(int status, std::string code, std::string reason) {
  deadline_.stop();
  state_ = State::exchanging;
  DecisionRecord record;
  record.subject.request_id = request_id_;
  record.subject.client = peer_;
  record.verdict = Verdict::error;
  record.status = status;
  record.code = std::move(code);
  record.reason = std::move(reason);
  if (!identity_) {
    // Whoever is refused is named in the record, so that has to be known first.
    watcher_->stop();
    refused_request_ = std::move(record);
    return;
  }
  record.identity_us = identity_us_;
  describe_identity(*identity_, record);
  if (head_) {
    record.subject.kind = kind_of(*head_);
    if (head_->authority) {
      record.subject.host = head_->authority->host.name;
      record.subject.port = head_->authority->port;
    }
  }
  services_.records.write(record);
  services_.metrics.count_decision(record.verdict, record.code);
  on_refused(Refusal{record.status, record.code, record.reason, record.subject, std::nullopt});
}

void Connection::refuse_for_limit(std::string reason) {
  if (!open_watcher()) return close();
  const DecisionRecord record = limit_record(request_id_, peer_, std::move(reason));
  services_.records.write(record);
  services_.metrics.count_decision(record.verdict, record.code);
  on_refused(
      Refusal{record.status, record.code, record.reason, record.subject, kRetryAfterSeconds});
}

void Connection::flush_refusal() {
  while (!response_.empty()) {
    const Result<net::Transfer> sent = net::write_some(fd_.get(), response_);
    if (!sent) return close();
    if (sent->would_block) return watcher_->watch({.readable = true, .writable = true});
    response_.erase(0, sent->bytes);
  }
  // Closing now, with bytes of the client unread, would reset the connection and take the answer
  // with it (RFC 9112 section 9.6): end our side, and read on until the client ends its own.
  net::shutdown_write(fd_.get());
  state_ = State::lingering;
  watcher_->watch({.readable = true});
}

void Connection::discard() {
  Buffer buffer;
  for (std::size_t i = 0; i < kReadsPerTurn; ++i) {
    const Result<net::Transfer> got = net::read_some(fd_.get(), buffer);
    if (!got || got->end) {
      if (state_ == State::lingering || !got) return close();
      return watcher_->watch({.writable = true});
    }
    if (got->would_block) return;
  }
}

void Connection::on_deadline() {
  if (state_ == State::relaying) return check_caller();
  if (state_ != State::reading_head) return close();
  head_ = reader_.partial();
  refuse_request(408, "head_timeout", "The request head did not arrive in time.");
}

void Connection::relay_ended(const RelayEnd& end) {
  identity_lookup_.reset();
  deadline_.stop();
  if (relay_) services_.metrics.tunnel_closed(end.bytes_up, end.bytes_down);
  tunnel_ended(end);
  close();
}

void Connection::tunnel_ended(const RelayEnd& end) {
  services_.records.write(
      TunnelRecord{tunnel_subject_, checked_.up + end.bytes_up, checked_.down + end.bytes_down,
                   static_cast<std::int64_t>(services_.loop.now_ms() - opened_at_ms_),
                   end.closed_by, end.reason});
}

void Connection::drain() {
  if (state_ != State::reading_head) return;
  if (!reader_.started()) return close();
  head_ = reader_.partial();
  refuse_request(503, "draining", "The proxy is shutting down.");
}

void Connection::end(const std::string& reason) {
  if (relay_ && state_ == State::relaying) return relay_->end(reason);
  if (sni_check_) {
    checked_ = sni_check_->moved();
    return relay_ended({0, 0, ClosedBy::proxy, reason});
  }
  if (refused_request_ && !identity_) services_.records.write(*refused_request_);
  if (exchange_ && state_ == State::exchanging) {
    exchange_->abandon("proxy_ended", "The proxy ended: " + reason + ".");
  }
  close();
}

void Connection::close() {
  if (std::exchange(state_, State::closed) == State::closed) return;
  watcher_.reset();
  if (sni_check_) sni_check_->cancel();
  deadline_.stop();
  identity_lookup_.reset();
  owner_.on_closed(*this);
}

}  // namespace warder::proxy
