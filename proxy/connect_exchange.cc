#include "proxy/connect_exchange.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <set>
#include <utility>

#include "identity/investigator.h"

namespace warder::proxy {

namespace {

constexpr int kRetryAfterSeconds = 5;
// So often the caller may have become another between its look-up and the opening.
constexpr int kCallerChanges = 3;
// And so often what is behind it, as a relay, may have become more: that never becomes less.
constexpr int kArrivals = 8;

std::vector<net::IpRange> ranges(const std::vector<std::string>& texts) {
  std::vector<net::IpRange> parsed;
  for (const std::string& text : texts) {
    // opa::parse_answer has checked them; one that does not parse would allow nothing anyway.
    if (const auto range = net::IpRange::parse(text)) parsed.push_back(*range);
  }
  return parsed;
}

// Whether the same executables have the connection, whatever the number of their processes.
bool same_programs(const identity::Identity& before, const identity::Identity& now) {
  const auto images = [](const identity::Identity& of) {
    std::set<identity::FileId> set;
    for (const identity::Process& process : of.processes) set.insert(process.image);
    return set;
  };
  return !now.reason && images(before) == images(now);
}

std::string dial_code(const Error& error) {
  switch (error.sys_errno) {
    case ECONNREFUSED: return "connection_refused";
    case ENETUNREACH:
    case EHOSTUNREACH: return "destination_unreachable";
    default: break;
  }
  if (error.code == Errc::timed_out) return "connect_timeout";
  if (error.code == Errc::out_of_descriptors) return "out_of_descriptors";
  return "connect_failed";
}

int dial_status(const Error& error) {
  if (error.code == Errc::timed_out) return 504;
  return error.code == Errc::out_of_descriptors ? 503 : 502;
}

}  // namespace

ConnectExchange::ConnectExchange(Services& services, Listener& listener,
                                 identity::Connection connection, const http::RequestHead& head,
                                 Subject subject)
    : services_(services),
      listener_(listener),
      connection_(connection),
      authority_(*head.authority) {
  record_.subject = std::move(subject);
}

void ConnectExchange::begin(identity::Identity identity, std::int64_t identity_us) {
  assert(state_ == State::identifying);
  record_.identity_us = identity_us;
  services_.metrics.observe_identity(std::chrono::microseconds(identity_us));
  identified(std::move(identity));
  advance();
}

void ConnectExchange::identified(identity::Identity identity) {
  identity_ = std::move(identity);
  describe_identity(identity_, record_);
  services_.metrics.count_identity(identity_);
  identity_slot_.reset();
  identity_slot_ = services_.limits.take_identity(identity_key(identity_, record_.subject.client));
  state_ = identity_slot_ ? State::deciding : State::over_limit;
  if (identity_slot_) ask();
}

void ConnectExchange::advance() {
  for (;;) {
    const Next next = step();
    if (next == Next::wait) return;
    if (next == Next::again) continue;
    state_ = State::done;
    services_.records.write(record_);
    services_.metrics.count_decision(record_.verdict, record_.code);
    if (next == Next::opened) return listener_.on_opened(std::move(**dialled_));
    return listener_.on_refused(
        Refusal{record_.status, record_.code, record_.reason, record_.subject, retry_after_s_});
  }
}

ConnectExchange::Next ConnectExchange::step() {
  switch (state_) {
    case State::identifying: return Next::wait;
    case State::over_limit:
      retry_after_s_ = kRetryAfterSeconds;
      return refuse(Verdict::error, "identity_limit",
                    "This program has as many connections open as one program may have.", 429);
    case State::deciding: return do_deciding();
    case State::confirming: return do_confirming();
    case State::looking_anew: return do_looking_anew();
    case State::resolving: return do_resolving();
    case State::dialling: return do_dialling();
    case State::done: break;
  }
  return Next::wait;
}

void ConnectExchange::ask() {
  answer_.reset();
  asked_at_ns_ = uv_hrtime();
  call_ = services_.opa.ask(connect_query(record_.subject, identity_),
                            [this](Result<opa::Decision> answer) {
                              answer_ = std::move(answer);
                              advance();
                            });
}

ConnectExchange::Next ConnectExchange::do_deciding() {
  if (!answer_) return Next::wait;
  const std::chrono::microseconds took((uv_hrtime() - asked_at_ns_) / 1000);
  record_.opa_us = took.count();
  services_.metrics.observe_opa(took);
  if (!*answer_) return refuse(answer_->error());
  opa::Decision& decision = **answer_;
  record_.subject.decision_id = decision.decision_id;
  record_.policy = decision.policy;
  record_.would_deny = decision.would_deny;
  if (decision.undefined) {
    return refuse(Verdict::deny, "policy_undefined",
                  "The policy has nothing to say about this request: its decision is undefined.",
                  403);
  }
  if (!decision.allow) {
    return refuse(Verdict::deny, "denied",
                  decision.reason.value_or("The policy denies this request."), 403);
  }
  record_.reason = decision.reason.value_or("The policy allows this request.");
  allowed_ips_ = ranges(decision.allowed_ips);
  // A caller that isn't known can't be found unchanged either: then the policy's word is all there
  // is.
  if (identity_.grade == identity::Grade::unresolved) return look_up();
  look_again();
  state_ = State::confirming;
  return Next::again;
}

void ConnectExchange::look_again() {
  change_.reset();
  second_look_ = services_.identities.confirm(connection_, identity_, services_.loop,
                                              [this](std::optional<identity::Change> change) {
                                                change_ = std::move(change);
                                                advance();
                                              });
}

ConnectExchange::Next ConnectExchange::do_confirming() {
  if (!change_) return Next::wait;
  if (!*change_) return look_up();
  const identity::Change& change = **change_;
  const bool too_often = change.behind ? ++arrivals_ >= kArrivals : ++changes_ >= kCallerChanges;
  if (change.closed || too_often) return refuse_changed(change.what);
  second_look_ =
      services_.identities.start(connection_, services_.loop, [this](identity::Identity identity) {
        now_ = std::move(identity);
        advance();
      });
  state_ = State::looking_anew;
  return Next::again;
}

// A program that has started another copy of itself meanwhile is asked about again. In the place of
// one that became another program, or let one have its connection, nobody is.
ConnectExchange::Next ConnectExchange::do_looking_anew() {
  if (!now_) return Next::wait;
  if (!same_programs(identity_, *now_)) {
    std::string what = std::move((*change_)->what);
    if (now_->reason) what += "; then " + now_->detail;
    return refuse_changed(what);
  }
  identity::Identity now = std::move(*std::exchange(now_, std::nullopt));
  identity::keep_relayed(identity_, now);
  identified(std::move(now));
  return Next::again;
}

ConnectExchange::Next ConnectExchange::refuse_changed(const std::string& what) {
  return refuse(Verdict::deny, "client_raced",
                fmt::format("The caller changed while its request was decided: {}.", what), 403);
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
  if (!*addresses_) return refuse(addresses_->error());
  return start_dial(**addresses_);
}

ConnectExchange::Next ConnectExchange::start_dial(const std::vector<net::IpAddress>& addresses) {
  for (const net::IpAddress& address : addresses) {
    std::string objection = services_.guard.objection(address, *authority_.port, allowed_ips_);
    // One bad address refuses the name: a name that also points inside is a rebinding attempt.
    if (!objection.empty()) {
      return refuse(Verdict::deny, "address_blocked", std::move(objection), 403);
    }
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
  if (!*dialled_) {
    const Error& error = dialled_->error();
    return refuse(Verdict::error, dial_code(error), describe(error), dial_status(error));
  }
  record_.verdict = Verdict::allow;
  record_.code = "allowed";
  record_.status = 200;
  return Next::opened;
}

ConnectExchange::Next ConnectExchange::refuse(Verdict verdict, std::string code, std::string reason,
                                              int status) {
  record_.verdict = verdict;
  record_.code = std::move(code);
  record_.reason = std::move(reason);
  record_.status = status;
  return Next::refused;
}

ConnectExchange::Next ConnectExchange::refuse(const Error& error) {
  return refuse(Verdict::error, std::string(code_name(error.code)), describe(error),
                status_for(error.code));
}

void ConnectExchange::abandon(std::string code, std::string reason) {
  if (state_ == State::done) return;
  state_ = State::done;
  call_.reset();
  second_look_.reset();
  lookup_.reset();
  dial_.reset();
  refuse(Verdict::error, std::move(code), std::move(reason), 0);
  services_.records.write(record_);
  services_.metrics.count_decision(record_.verdict, record_.code);
}

}  // namespace warder::proxy
