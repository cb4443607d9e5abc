#include "proxy/connect_exchange.h"

#include <cassert>
#include <utility>

#include "proxy/destination.h"
#include "proxy/exchange_record.h"
#include "proxy/trace_context.h"

namespace warder::proxy {

namespace {

DecisionRecord record_about(Subject subject) {
  DecisionRecord record;
  record.subject = std::move(subject);
  return record;
}

opa::Query::Request question(const http::RequestHead& head, const Subject& subject) {
  opa::Query::Request asked = connect_request();
  asked.traceparent = trace_parent(head, subject.request_id);
  return asked;
}

}  // namespace

ConnectExchange::ConnectExchange(Services& services, Listener& listener,
                                 identity::Connection connection, const http::RequestHead& head,
                                 Subject subject)
    : services_(services),
      listener_(listener),
      authority_(*head.authority),
      record_(record_about(std::move(subject))),
      approval_(services, static_cast<Approval::Listener&>(*this), connection,
                question(head, record_.subject), record_) {}

void ConnectExchange::begin(identity::Identity identity, std::int64_t identity_us) {
  approval_.begin(std::move(identity), identity_us, Approval::Look::early);
}

void ConnectExchange::on_approved() {
  approved_ = true;
  advance();
}

void ConnectExchange::on_not_approved(Failure failure) {
  failure_ = std::move(failure);
  advance();
}

void ConnectExchange::advance() {
  for (;;) {
    const Next next = failure_ ? Next::refused : step();
    if (next == Next::wait) return;
    if (next == Next::again) continue;
    state_ = State::done;
    if (failure_) set_outcome(record_, *failure_);
    services_.records.write(record_);
    services_.metrics.count_decision(record_.verdict, record_.code);
    if (next == Next::opened) return listener_.on_opened(std::move(**dialled_));
    return listener_.on_refused(Refusal{record_.status, record_.code,
                                        told_to_client(record_, services_.config.explain),
                                        record_.subject, failure_->retry_after_s});
  }
}

ConnectExchange::Next ConnectExchange::step() {
  switch (state_) {
    case State::approving: return approved_ ? look_up() : Next::wait;
    case State::resolving: return do_resolving();
    case State::dialling: return do_dialling();
    case State::done: break;
  }
  return Next::wait;
}

ConnectExchange::Next ConnectExchange::look_up() {
  if (authority_.host.address) return start_dial({*authority_.host.address});
  lookup_ = services_.names.start(authority_.host.name,
                                  [this](Result<std::vector<net::IpAddress>> addresses) {
                                    addresses_ = std::move(addresses);
                                    advance();
                                  });
  state_ = State::resolving;
  return Next::again;
}

ConnectExchange::Next ConnectExchange::do_resolving() {
  if (!addresses_) return Next::wait;
  if (!*addresses_) return fail(failure_of(addresses_->error()));
  return start_dial(**addresses_);
}

ConnectExchange::Next ConnectExchange::start_dial(const std::vector<net::IpAddress>& addresses) {
  const std::vector<net::IpRange> allowed = allowed_ranges(approval_.decision());
  if (auto objection = objection_to(addresses, *authority_.port, services_.guard, allowed)) {
    return fail(std::move(*objection));
  }
  dial_ = dial(services_.loop, addresses, *authority_.port, services_.config.timeouts.connect,
               [this](Result<Dialled> dialled) {
                 dialled_ = std::move(dialled);
                 advance();
               });
  state_ = State::dialling;
  return Next::again;
}

ConnectExchange::Next ConnectExchange::do_dialling() {
  if (!dialled_) return Next::wait;
  if (!*dialled_) return fail(dial_failure(dialled_->error()));
  record_.verdict = Verdict::allow;
  record_.code = "allowed";
  record_.status = 200;
  return Next::opened;
}

ConnectExchange::Next ConnectExchange::fail(Failure failure) {
  failure_ = std::move(failure);
  return Next::refused;
}

void ConnectExchange::abandon(std::string code, std::string reason) {
  if (state_ == State::done) return;
  state_ = State::done;
  approval_.cancel();
  lookup_.reset();
  dial_.reset();
  set_outcome(record_, {Verdict::error, std::move(code), std::move(reason), 0, std::nullopt});
  services_.records.write(record_);
  services_.metrics.count_decision(record_.verdict, record_.code);
}

}  // namespace warder::proxy
