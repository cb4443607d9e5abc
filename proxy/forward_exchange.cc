#include "proxy/forward_exchange.h"

#include <fmt/format.h>

#include <array>
#include <cassert>
#include <utility>

#include "net/http/head_rules.h"
#include "net/socket.h"
#include "proxy/destination.h"
#include "proxy/exchange_record.h"
#include "proxy/trace_context.h"
#include "proxy/upstream_pool.h"

namespace warder::proxy {

namespace {

opa::Query::Request question(const ForwardRequest& request, const Subject& subject) {
  opa::Query::Request asked;
  asked.kind = "forward";
  asked.method = request.head.method;
  asked.scheme = request.head.scheme;
  asked.path = request.path.path;
  asked.path_raw = request.path.path_raw;
  asked.query = request.path.query;
  asked.query_raw = request.path.query_raw;
  asked.doubts = request.path.doubts;
  asked.traceparent = trace_parent(request.head, subject.request_id);
  return asked;
}

DecisionRecord record_about(Subject subject, const ForwardRequest& request) {
  DecisionRecord record;
  record.subject = std::move(subject);
  record.subject.kind = Kind::forward;
  record.subject.host = request.head.authority->host.name;
  record.subject.port = request.head.authority->port;
  record.subject.http_method = request.head.method;
  record.subject.path = request.path.path;
  return record;
}

// What TRACE shows of a request: RFC 9110 section 9.3.8, without what is for the origin alone.
std::string traced(const http::RequestHead& head) {
  std::string text = fmt::format("{} {} HTTP/1.{}\r\n", head.method, head.target, head.minor);
  for (const http::Header& header : head.headers) {
    const bool secret = http::same_name(header.name, "authorization") ||
                        http::same_name(header.name, "proxy-authorization") ||
                        http::same_name(header.name, "cookie");
    if (!secret) text += fmt::format("{}: {}\r\n", header.name, header.value);
  }
  return text + "\r\n";
}

}  // namespace

Result<ForwardRequest> read_forward_request(http::RequestHead head) {
  ForwardRequest request;
  const Result<http::BodyFraming> body = http::request_framing(head);
  if (!body) return warder::fail(body.error());
  Result<http::RequestPath> path = http::read_request_path(head);
  if (!path) return warder::fail(std::move(path.error()));
  request.head = std::move(head);
  request.body = *body;
  request.path = std::move(*path);
  return request;
}

ForwardExchange::ForwardExchange(Services& services, Listener& listener,
                                 identity::Connection connection, ClientPort& client,
                                 ForwardRequest request, Subject subject)
    : services_(services),
      listener_(listener),
      client_(client),
      request_(std::move(request)),
      record_(record_about(std::move(subject), request_)),
      approval_(services, static_cast<Approval::Listener&>(*this), connection,
                question(request_, record_.subject), record_),
      keep_alive_(http::persists_after(request_.head)),
      began_ms_(services.loop.now_ms()) {}

void ForwardExchange::begin(identity::Identity identity, std::int64_t identity_us,
                            Approval::Look look) {
  approval_.begin(std::move(identity), identity_us, look);
}

void ForwardExchange::on_client_ready(net::Readiness readiness) {
  if (state_ == State::transferring) return transfer_->on_client_ready(readiness);
  if (readiness.readable) read_ahead();
}

void ForwardExchange::no_keep_alive() {
  keep_alive_ = false;
  if (transfer_) transfer_->no_keep_alive();
}

void ForwardExchange::read_ahead() {
  std::array<char, 16384> buffer{};
  const Result<net::Transfer> got = net::read_some(client_.fd.get(), buffer);
  if (!got) {
    abandon("client_gone", "The client's connection broke: " + describe(got.error()) + ".");
    return listener_.on_cut();
  }
  // After an orderly end the client still wants its answer.
  if (got->end) client_.ended = true;
  client_.in.append(buffer.data(), got->bytes);
  if (client_.ended || client_.full()) client_.watcher->stop();
}

void ForwardExchange::on_approved() {
  approved_ = true;
  advance();
}

void ForwardExchange::on_not_approved(Failure failure) {
  failure_ = std::move(failure);
  advance();
}

void ForwardExchange::advance() {
  for (;;) {
    const Next next = failure_ ? Next::refused : step();
    switch (next) {
      case Next::wait: return;
      case Next::again: break;
      case Next::refused: return refuse();
      case Next::answered: return answer_here();
      case Next::transferring: return transfer_->begin();
    }
  }
}

ForwardExchange::Next ForwardExchange::step() {
  switch (state_) {
    case State::approving: return approved_ ? render() : Next::wait;
    case State::resolving: return do_resolving();
    case State::dialling: return do_dialling();
    case State::transferring:
    case State::done: break;
  }
  return Next::wait;
}

ForwardExchange::Next ForwardExchange::render() {
  http::ForwardOptions options;
  options.pseudonym = services_.pseudonym;
  options.request_target = request_.path.raw;
  options.strip_method_override = approval_.decision().read_only;
  Result<http::ForwardedRequest> forwarded =
      http::forward_request(request_.head, request_.body, options);
  if (!forwarded) return fail(failure_of(forwarded.error()));
  forwarded_ = std::move(*forwarded);
  // Nobody sees which requests a tunnel carries.
  if (forwarded_.websocket && options.strip_method_override) {
    return fail({Verdict::deny, "upgrade_not_allowed",
                 "The policy limits which requests may be made here, and those inside a WebSocket "
                 "can't be seen.",
                 403, std::nullopt});
  }
  return forwarded_.answer_here ? Next::answered : look_up();
}

ForwardExchange::Next ForwardExchange::look_up() {
  const http::Host& host = request_.head.authority->host;
  if (host.address) return reach({*host.address});
  lookup_ = services_.names.start(host.name, [this](Result<std::vector<net::IpAddress>> addresses) {
    addresses_ = std::move(addresses);
    advance();
  });
  state_ = State::resolving;
  return Next::again;
}

ForwardExchange::Next ForwardExchange::do_resolving() {
  if (!addresses_) return Next::wait;
  if (!*addresses_) return fail(failure_of(addresses_->error()));
  return reach(**addresses_);
}

ForwardExchange::Next ForwardExchange::reach(const std::vector<net::IpAddress>& addresses) {
  const std::uint16_t port = *request_.head.authority->port;
  const std::vector<net::IpRange> allowed = allowed_ranges(approval_.decision());
  if (auto objection = objection_to(addresses, port, services_.guard, allowed)) {
    return fail(std::move(*objection));
  }
  checked_ = addresses;
  pool_key_ = upstream_key(approval_.query(), approval_.decision());
  // A request with a body can't be sent a second time when the connection turns out to be gone.
  if (pooled() && request_.body.kind == http::Framing::none && !forwarded_.websocket) {
    if (auto idle = services_.upstreams.take(pool_key_, checked_, port)) {
      return start_transfer(std::move(idle));
    }
  }
  return dial_now();
}

ForwardExchange::Next ForwardExchange::dial_now() {
  dialled_.reset();
  dial_ = dial(services_.loop, checked_, *request_.head.authority->port,
               services_.config.timeouts.connect, [this](Result<Dialled> dialled) {
                 dialled_ = std::move(dialled);
                 advance();
               });
  state_ = State::dialling;
  return Next::again;
}

ForwardExchange::Next ForwardExchange::do_dialling() {
  if (!dialled_) return Next::wait;
  if (!*dialled_) return fail(dial_failure(dialled_->error()));
  auto upstream = Upstream::create(services_.loop, std::move(**dialled_));
  if (!upstream) return fail(failure_of(upstream.error()));
  return start_transfer(std::move(*upstream));
}

ForwardExchange::Next ForwardExchange::start_transfer(std::unique_ptr<Upstream> upstream) {
  HttpTransfer::Request request;
  request.head = forwarded_.head;
  request.method = request_.head.method;
  request.client_minor = request_.head.minor;
  request.body = request_.body;
  request.websocket = forwarded_.websocket;
  request.keep_alive = keep_alive_;
  request.own = id_headers(record_.subject);
  transfer_ = std::make_unique<HttpTransfer>(services_, static_cast<HttpTransfer::Listener&>(*this),
                                             client_, std::move(upstream), std::move(request));
  state_ = State::transferring;
  return Next::transferring;
}

ForwardExchange::Next ForwardExchange::fail(Failure failure) {
  failure_ = std::move(failure);
  return Next::refused;
}

void ForwardExchange::on_answer_begun(int status) {
  record_.verdict = Verdict::allow;
  record_.code = "allowed";
  record_.status = status;
  write_decision();
}

void ForwardExchange::on_transfer_over(HttpTransfer::End end) {
  using How = HttpTransfer::End::How;
  // The transfer's function is on the stack.
  services_.loop.retire(std::move(transfer_));
  if (end.how == How::untouched && request_.body.kind == http::Framing::none) {
    dial_now();
    return;
  }
  if (end.how == How::failed || end.how == How::untouched) {
    failure_ = end.failure;
    write_end(end);
    return refuse();
  }
  state_ = State::done;
  if (!decision_written_) {
    set_outcome(record_, end.failure);
    write_decision();
  }
  if (end.how != How::switched) {
    approval_.cancel();
    write_end(end);
  }
  switch (end.how) {
    case How::complete:
      if (pooled() && end.upstream) services_.upstreams.put(pool_key_, std::move(end.upstream));
      // One of its functions may be on the stack.
      services_.loop.retire(std::move(end.upstream));
      return listener_.on_forwarded(end.client_reusable);
    case How::switched: {
      net::UniqueFd fd = end.upstream->release();
      services_.loop.retire(std::move(end.upstream));
      return listener_.on_switched(std::move(fd));
    }
    default: return listener_.on_cut();
  }
}

void ForwardExchange::refuse() {
  state_ = State::done;
  approval_.cancel();
  set_outcome(record_, *failure_);
  write_decision();
  Refusal refusal{failure_->status, failure_->code,
                  told_to_client(record_, services_.config.explain), record_.subject,
                  failure_->retry_after_s};
  // What else the client sent is its next request only if this one has no body.
  refusal.head = request_.head.method == "HEAD";
  refusal.keep_alive = keep_alive_ && request_.body.kind == http::Framing::none;
  listener_.on_refused(std::move(refusal));
}

// RFC 9110 section 7.6.2: it goes no further.
void ForwardExchange::answer_here() {
  state_ = State::done;
  approval_.cancel();
  on_answer_begun(200);
  const bool reusable = keep_alive_ && request_.body.kind == http::Framing::none;
  const bool trace = request_.head.method == "TRACE";
  client_.out += own_answer(record_.subject, trace ? "message/http" : "",
                            trace ? traced(request_.head) : "", reusable);
  listener_.on_forwarded(reusable);
}

void ForwardExchange::abandon(std::string code, std::string reason) {
  if (state_ == State::done) return;
  state_ = State::done;
  approval_.cancel();
  lookup_.reset();
  dial_.reset();
  Failure failure{Verdict::error, std::move(code), std::move(reason), 0, std::nullopt};
  if (!decision_written_) {
    set_outcome(record_, failure);
    write_decision();
  }
  if (!transfer_) return;
  HttpTransfer::End end;
  end.how = HttpTransfer::End::How::cut;
  end.failure = std::move(failure);
  end.bytes_up = transfer_->bytes_up();
  end.bytes_down = transfer_->bytes_down();
  transfer_->abort();
  services_.loop.retire(std::move(transfer_));
  write_end(end);
}

void ForwardExchange::write_decision() {
  decision_written_ = true;
  services_.records.write(record_);
  services_.metrics.count_decision(record_.verdict, record_.code);
}

void ForwardExchange::write_end(const HttpTransfer::End& end) {
  if (end.bytes_up == 0) return;
  services_.metrics.request_over(end.bytes_up, end.bytes_down);
  const bool whole = end.how == HttpTransfer::End::How::complete;
  services_.records.write(
      TunnelRecord{record_.subject, end.bytes_up, end.bytes_down,
                   static_cast<std::int64_t>(services_.loop.now_ms() - began_ms_), end.closed_by,
                   whole ? "end" : end.failure.code});
}

}  // namespace warder::proxy
