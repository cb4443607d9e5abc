#include "proxy/connection.h"

#include <array>
#include <cassert>
#include <utility>

#include "net/socket.h"
#include "proxy/exchange_record.h"
#include "proxy/request_id.h"

namespace warder::proxy {

namespace {

constexpr std::size_t kReadsPerTurn = 16;

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
      deadline_(services.loop, [this] { on_deadline(); }),
      request_id_(new_request_id()) {
  port_.fd = std::move(fd);
  reader_.emplace(head_limits(services.config));
  services_.metrics.connection_opened();
}

Connection::~Connection() { services_.metrics.connection_closed(); }

bool Connection::open_watcher() {
  auto watcher = net::FdWatcher::create(services_.loop, port_.fd.get(), *this);
  if (!watcher) return false;
  port_.watcher = std::move(*watcher);
  return true;
}

void Connection::serve(ConnectionLimits::Slot slot) {
  slot_.emplace(std::move(slot));
  const Result<net::Endpoint> local = net::local_endpoint(port_.fd.get());
  if (!local || !open_watcher()) return close();
  net::set_nodelay(port_.fd.get());
  net::set_keepalive(port_.fd.get());
  caller_ = {peer_, *local, net::original_destination(port_.fd.get())};
  start_identity();
  deadline_.start(services_.config.timeouts.head);
  port_.watcher->watch({.readable = true});
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
  } else if (forward_) {
    forward_->begin(*identity_, identity_us_, look());
  }
}

// The first lookup begins with the connection, the others when their request is there.
Approval::Look Connection::look() const {
  return requests_ == 0 ? Approval::Look::early : Approval::Look::fresh;
}

void Connection::on_ready(net::FdWatcher&, net::Readiness readiness) {
  switch (state_) {
    case State::reading_head: return read_head();
    case State::exchanging: return read_early();
    case State::forwarding: return forward_->on_client_ready(readiness);
    case State::answering:
      if (readiness.writable) return flush_answer();
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
    const Result<net::Transfer> got = net::read_some(port_.fd.get(), buffer);
    if (!got) return close();
    if (got->would_block) return;
    if (got->end) {
      port_.ended = true;
      // Someone who connects and leaves without a word (a health check) is no request.
      if (!reader_->started()) return close();
      return head_failed({Errc::bad_request, 0, "The connection ended inside the request head"});
    }
    if (requests_ > 0 && !reader_->started()) deadline_.start(services_.config.timeouts.head);
    port_.in.append(buffer.data(), got->bytes);
    if (feed_head()) return;
  }
}

bool Connection::feed_head() {
  const Result<std::size_t> used = reader_->feed(port_.in);
  if (!used) {
    head_failed(used.error());
    return true;
  }
  port_.in.erase(0, *used);
  if (!reader_->done()) return false;
  head_read();
  return true;
}

void Connection::head_read() {
  head_ = reader_->take();
  deadline_.stop();
  if (head_->form == http::RequestForm::connect) return start_connect();
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
  start_forward();
}

void Connection::head_failed(const Error& error) {
  head_ = reader_->partial();
  refuse_request(status_for(error.code), std::string(code_name(error.code)), error.detail);
}

void Connection::start_connect() {
  state_ = State::exchanging;
  Subject subject;
  subject.request_id = request_id_;
  subject.client = peer_;
  subject.host = head_->authority->host.name;
  subject.port = head_->authority->port;
  exchange_ =
      std::make_unique<ConnectExchange>(services_, static_cast<ConnectExchange::Listener&>(*this),
                                        caller_, *head_, std::move(subject));
  if (port_.full()) port_.watcher->stop();
  if (identity_) return exchange_->begin(*identity_, identity_us_);
  if (!identity_lookup_) start_identity();
}

void Connection::start_forward() {
  Result<ForwardRequest> request = read_forward_request(*head_);
  if (!request) return head_failed(request.error());
  state_ = State::forwarding;
  Subject subject;
  subject.request_id = request_id_;
  subject.client = peer_;
  forward_ =
      std::make_unique<ForwardExchange>(services_, static_cast<ForwardExchange::Listener&>(*this),
                                        caller_, port_, std::move(*request), std::move(subject));
  if (draining_) forward_->no_keep_alive();
  if (identity_) return forward_->begin(*identity_, identity_us_, look());
  if (!identity_lookup_) start_identity();
}

void Connection::read_early() {
  Buffer buffer;
  const Result<net::Transfer> got = net::read_some(port_.fd.get(), buffer);
  if (!got) {
    if (exchange_) {
      exchange_->abandon("client_gone",
                         "The client's connection broke: " + describe(got.error()) + ".");
    }
    return close();
  }
  // After an orderly end the client still wants its answer; the relay sees the end again.
  if (got->end) {
    port_.ended = true;
    return port_.watcher->stop();
  }
  port_.in.append(buffer.data(), got->bytes);
  if (port_.full()) port_.watcher->stop();
}

void Connection::on_opened(Dialled origin) {
  net::set_nodelay(origin.fd.get());
  net::set_keepalive(origin.fd.get());
  origin_ = std::move(origin.fd);
  begin_tunnel(exchange_->subject(), exchange_->identity(), exchange_->query().request,
               exchange_->decision());
  if (exchange_->decision().sni) return check_sni();
  start_relaying(std::exchange(port_.in, {}), established_head(tunnel_subject_));
}

void Connection::on_switched(net::UniqueFd origin) {
  origin_ = std::move(origin);
  begin_tunnel(forward_->subject(), forward_->identity(), forward_->query().request,
               forward_->decision());
  start_relaying(std::exchange(port_.in, {}), std::exchange(port_.out, {}));
}

void Connection::begin_tunnel(const Subject& subject, const identity::Identity& caller,
                              const opa::Query::Request& request, const opa::Decision& decision) {
  // The descriptor goes to the relay, and libuv allows one watcher for each.
  port_.watcher.reset();
  tunnel_subject_ = subject;
  const Result<net::Endpoint> origin = net::peer_endpoint(origin_.get());
  // One that is gone already has no address any more; the relay ends it.
  tunnel_ = {subject, caller_, caller, request, decision, origin ? *origin : net::Endpoint{}};
  opened_at_ms_ = services_.loop.now_ms();
}

void Connection::check_sni() {
  state_ = State::checking_sni;
  const Config::Timeouts& timeouts = services_.config.timeouts;
  sni_check_ = std::make_unique<SniCheck>(
      services_.loop, services_.hellos,
      SniCheck::Tunnel{port_.fd.get(), origin_.get(), head_->authority->host,
                       std::exchange(port_.in, {}), established_head(tunnel_subject_)},
      SniCheck::Limits{timeouts.client_hello, timeouts.connect},
      static_cast<SniCheck::Listener&>(*this));
  if (const Result<void> begun = sni_check_->begin(); !begun) {
    relay_ended({0, 0, ClosedBy::proxy, describe(begun.error())});
  }
}

void Connection::on_sni_passed(SniCheck::Rest rest) {
  checked_ = sni_check_->moved();
  services_.loop.retire(std::move(sni_check_));
  start_relaying(rest.to_origin, rest.to_client);
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
  port_.out = std::move(failure.alert);
  answer_written();
}

void Connection::start_relaying(const std::string& to_origin, const std::string& to_client) {
  state_ = State::relaying;
  auto relay =
      start_relay(services_.loop, std::move(port_.fd), std::move(origin_), to_origin, to_client,
                  {services_.config.timeouts.idle, services_.config.timeouts.drain},
                  [this](const RelayEnd& end) { relay_ended(end); });
  if (!relay) return relay_ended({0, 0, ClosedBy::proxy, describe(relay.error())});
  relay_ = std::move(*relay);
  services_.metrics.tunnel_opened();
  watch_ = std::make_unique<TunnelWatch>(services_, static_cast<TunnelWatch::Listener&>(*this),
                                         std::move(tunnel_));
}

void Connection::on_revoked(std::string code) { relay_->end(std::move(code)); }

void Connection::on_refused(Refusal refusal) {
  if (draining_) refusal.keep_alive = false;
  reusable_ = refusal.keep_alive;
  port_.out += render(refusal);
  answer_written();
}

void Connection::on_forwarded(bool reusable) {
  reusable_ = reusable;
  answer_written();
}

// The end of the answer is what its reader must not take for its end.
void Connection::on_cut() {
  net::reset_on_close(port_.fd.get());
  close();
}

void Connection::answer_written() {
  state_ = State::answering;
  deadline_.start(services_.config.timeouts.linger);
  flush_answer();
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
    port_.watcher->stop();
    refused_request_ = std::move(record);
    if (!identity_lookup_) start_identity();
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
    if (record.subject.kind == Kind::forward) record.subject.http_method = head_->method;
  }
  services_.records.write(record);
  services_.metrics.count_decision(record.verdict, record.code);
  Refusal refusal{record.status, record.code, record.reason, record.subject, std::nullopt};
  refusal.head = head_ && head_->method == "HEAD";
  on_refused(std::move(refusal));
}

void Connection::refuse_for_limit(std::string reason) {
  if (!open_watcher()) return close();
  const DecisionRecord record = limit_record(request_id_, peer_, std::move(reason));
  services_.records.write(record);
  services_.metrics.count_decision(record.verdict, record.code);
  on_refused(
      Refusal{record.status, record.code, record.reason, record.subject, kRetryAfterSeconds});
}

void Connection::flush_answer() {
  while (!port_.out.empty()) {
    const Result<net::Transfer> sent = net::write_some(port_.fd.get(), port_.out);
    if (!sent) return close();
    if (sent->would_block) {
      return port_.watcher->watch({.readable = !port_.ended && !reusable_, .writable = true});
    }
    port_.out.erase(0, sent->bytes);
  }
  if (reusable_) return next_request();
  // Closing now, with bytes of the client unread, would reset the connection and take the answer
  // with it (RFC 9112 section 9.6): end our side, and read on until the client ends its own.
  net::shutdown_write(port_.fd.get());
  if (port_.ended) return close();
  state_ = State::lingering;
  port_.watcher->watch({.readable = true});
}

void Connection::next_request() {
  ++requests_;
  reusable_ = false;
  // Functions of the old ones may be on the stack.
  services_.loop.retire(std::move(forward_));
  services_.loop.retire(std::move(exchange_));
  identity_lookup_.reset();
  identity_.reset();
  head_.reset();
  refused_request_.reset();
  reader_.emplace(head_limits(services_.config));
  request_id_ = new_request_id();
  state_ = State::reading_head;
  if (port_.in.empty() && (port_.ended || draining_)) return close();
  deadline_.start(port_.in.empty() ? services_.config.timeouts.keep_alive
                                   : services_.config.timeouts.head);
  port_.watcher->watch({.readable = !port_.ended});
  if (port_.in.empty() || feed_head() || !port_.ended) return;
  head_failed({Errc::bad_request, 0, "The connection ended inside the request head"});
}

void Connection::discard() {
  Buffer buffer;
  for (std::size_t i = 0; i < kReadsPerTurn; ++i) {
    const Result<net::Transfer> got = net::read_some(port_.fd.get(), buffer);
    if (!got || got->end) {
      if (state_ == State::lingering || !got) return close();
      port_.ended = true;
      return port_.watcher->watch({.writable = true});
    }
    if (got->would_block) return;
  }
}

void Connection::on_deadline() {
  if (state_ != State::reading_head) return close();
  if (requests_ > 0 && !reader_->started()) return close();
  head_ = reader_->partial();
  refuse_request(408, "head_timeout", "The request head did not arrive in time.");
}

void Connection::relay_ended(const RelayEnd& end) {
  if (watch_) watch_->cancel();
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
  draining_ = true;
  if (forward_) forward_->no_keep_alive();
  if (state_ != State::reading_head) return;
  if (!reader_->started()) return close();
  head_ = reader_->partial();
  refuse_request(503, "draining", "The proxy is shutting down.");
}

void Connection::end(const std::string& reason) {
  if (relay_ && state_ == State::relaying) return relay_->end(reason);
  if (sni_check_) {
    checked_ = sni_check_->moved();
    return relay_ended({0, 0, ClosedBy::proxy, reason});
  }
  if (refused_request_ && !identity_) services_.records.write(*refused_request_);
  const std::string why = "The proxy ended: " + reason + ".";
  if (exchange_ && state_ == State::exchanging) exchange_->abandon("proxy_ended", why);
  if (forward_ && state_ == State::forwarding) {
    forward_->abandon("proxy_ended", why);
    // What was sent of an answer must not pass for the whole.
    net::reset_on_close(port_.fd.get());
  }
  close();
}

void Connection::close() {
  if (std::exchange(state_, State::closed) == State::closed) return;
  port_.watcher.reset();
  if (sni_check_) sni_check_->cancel();
  if (watch_) watch_->cancel();
  deadline_.stop();
  identity_lookup_.reset();
  owner_.on_closed(*this);
}

}  // namespace warder::proxy
