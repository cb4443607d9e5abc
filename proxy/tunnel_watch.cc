#include "proxy/tunnel_watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "identity/investigator.h"
#include "proxy/destination.h"
#include "proxy/exchange_record.h"

namespace warder::proxy {

namespace {

// Looks at a caller, of which none could be made.
constexpr int kFailedLooks = 3;
// Answers about a tunnel that no other tunnel gets, none of them a decision.
constexpr int kOwnAnswers = 3;
// Until a tunnel about which OPA could not decide is asked about again: twice as long each time, up
// to 32 times, since what is wrong may be wrong for all tunnels.
constexpr std::chrono::milliseconds kWatchRetry{1000};
constexpr int kDoublings = 5;

// Why there is no decision.
enum class Fault { no_answer, of_policy, of_tunnel };

// What a program can bring about by what it does (it grows until the question is too long) must not
// keep a tunnel open. Other statuses (401, 404, 500) are those of a mistake that concerns
// everybody.
Fault fault_of(Errc code) {
  switch (code) {
    case Errc::opa_refused:
    case Errc::opa_not_json:
    case Errc::opa_bad_answer:
    case Errc::opa_too_large: return Fault::of_tunnel;
    case Errc::opa_policy_error:
    case Errc::opa_status: return Fault::of_policy;
    default: return Fault::no_answer;
  }
}

}  // namespace

TunnelWatch::TunnelWatch(Services& services, Listener& listener, OpenTunnel tunnel)
    : services_(services),
      listener_(listener),
      tunnel_(std::move(tunnel)),
      timer_(services.loop, [this] { on_timer(); }) {
  if (services_.config.tunnels.reauthorize.count() > 0) {
    services_.reauthorizer.enroll(*this, tunnel_.decision.revision);
  }
  timer_.start(services_.config.tunnels.identity_check);
}

TunnelWatch::~TunnelWatch() { cancel(); }

void TunnelWatch::cancel() {
  if (std::exchange(state_, State::over) == State::over) return;
  timer_.stop();
  lookup_.reset();
  call_.reset();
  counted_.reset();
  services_.reauthorizer.withdraw(*this);
}

void TunnelWatch::on_timer() {
  if (state_ == State::waiting) return services_.reauthorizer.due(*this);
  look();
}

void TunnelWatch::decide_again() {
  timer_.stop();
  state_ = State::looking;
  look();
}

void TunnelWatch::look() {
  change_.reset();
  // Nobody was known at the opening, so nobody can have taken their place.
  if (tunnel_.caller.grade == identity::Grade::unresolved) {
    change_.emplace(std::nullopt);
    return advance();
  }
  lookup_ = services_.identities.confirm(tunnel_.connection, tunnel_.caller, services_.loop,
                                         [this](std::optional<identity::Change> change) {
                                           change_ = std::move(change);
                                           advance();
                                         });
}

void TunnelWatch::advance() {
  for (;;) {
    const Next next = step();
    if (next == Next::wait) return;
    if (next == Next::again) continue;
    if (next == Next::revoked) {
      cancel();
      return listener_.on_revoked(std::move(code_));
    }
    state_ = State::waiting;
    return;
  }
}

TunnelWatch::Next TunnelWatch::step() {
  switch (state_) {
    case State::first_look:
    case State::looking: return do_look();
    case State::looking_anew: return do_looking_anew();
    case State::asking:
    case State::asking_again: return do_asking();
    case State::checking_opa: return do_checking_opa();
    case State::waiting:
    case State::over: break;
  }
  return Next::wait;
}

TunnelWatch::Next TunnelWatch::do_look() {
  if (!change_) return Next::wait;
  if (!*change_) return caller_holds();
  const identity::Change& change = **change_;
  if (change.not_looked) {
    // Warder had too much to do, which says nothing of the caller.
    if (++failed_looks_ >= kFailedLooks) {
      return revoke_for_caller(
          "caller_unknown",
          "A tunnel is closed because nobody could tell whether its caller is still the one that "
          "it was opened for.",
          change.what);
    }
    timer_.start(services_.config.tunnels.identity_check);
    if (state_ == State::first_look) return Next::wait;
    services_.reauthorizer.skipped(*this);
    return Next::turn_over;
  }
  // One that has closed its end may still have bytes on the way to the origin.
  if (change.closed) {
    services_.reauthorizer.skipped(*this);
    schedule(services_.config.tunnels.reauthorize);
    return Next::turn_over;
  }
  if (!change.behind) {
    return revoke_for_caller(
        "caller_changed",
        "A tunnel is closed because its caller is not the one any more that it was opened for.",
        change.what);
  }
  // A relay serves whoever comes to it; the policy may have something to say about them.
  if (state_ == State::first_look) return caller_holds();
  lookup_ = services_.identities.start(tunnel_.connection, services_.loop,
                                       [this](identity::Identity identity) {
                                         now_ = std::move(identity);
                                         advance();
                                       });
  state_ = State::looking_anew;
  return Next::again;
}

TunnelWatch::Next TunnelWatch::do_looking_anew() {
  if (!now_) return Next::wait;
  identity::Identity now = std::move(*std::exchange(now_, std::nullopt));
  const std::optional<identity::Change> change = identity::difference(tunnel_.caller, now);
  // It was the same a moment ago; what became of it since is for the next look to say.
  if (!change || change->behind) {
    identity::keep_relayed(tunnel_.caller, now);
    tunnel_.caller = std::move(now);
  }
  return caller_holds();
}

TunnelWatch::Next TunnelWatch::caller_holds() {
  failed_looks_ = 0;
  if (state_ == State::first_look) {
    schedule(services_.config.tunnels.reauthorize);
    return Next::turn_over;
  }
  ask();
  state_ = State::asking;
  return Next::again;
}

void TunnelWatch::ask() {
  answer_.reset();
  const opa::Query query = make_query(tunnel_.subject, tunnel_.caller, tunnel_.request);
  if (services_.denials.enabled()) {
    counted_ = services_.denials.ask_anyway(identity_key(tunnel_.caller, tunnel_.subject.client),
                                            opa::reuse_key(query), DenialLimit::Clock::now());
  }
  asked_at_ns_ = uv_hrtime();
  // In nobody's name: a flood of its own questions must keep no program from being decided again.
  call_ = services_.opa.ask(query, [this](Result<opa::Decision> answer) {
    answer_ = std::move(answer);
    advance();
  });
}

TunnelWatch::Next TunnelWatch::do_asking() {
  if (!answer_) return Next::wait;
  took_ = std::chrono::microseconds((uv_hrtime() - asked_at_ns_) / 1000);
  services_.metrics.observe_opa(*answer_, took_);
  const auto counted = std::move(counted_);
  if (!*answer_) return not_decided(answer_->error());
  tunnel_.subject.decision_id = (*answer_)->decision_id;
  if ((*answer_)->undefined && state_ == State::asking) {
    check_opa();
    state_ = State::checking_opa;
    return Next::again;
  }
  if (counted) counted->answered((*answer_)->allow);
  return judge(std::move(**answer_));
}

void TunnelWatch::check_opa() {
  health_.reset();
  call_ = services_.opa.read("/health?bundles", [this](Result<opa::Document> health) {
    health_ = std::move(health);
    advance();
  });
}

// One that was started anew answers before it has its bundles, and says of all that it is
// undefined.
TunnelWatch::Next TunnelWatch::do_checking_opa() {
  if (!health_) return Next::wait;
  if (!*health_) {
    Error error = health_->error();
    error.detail = "the decision is undefined, and OPA is not healthy: " + error.detail;
    return not_answered(error);
  }
  // The bundles may have come after the first question.
  ask();
  state_ = State::asking_again;
  return Next::again;
}

TunnelWatch::Next TunnelWatch::not_answered(const Error& error) {
  record(Verdict::error, std::string(code_name(error.code)), failure_of(error).reason);
  services_.reauthorizer.not_answered(*this, error);
  return Next::turn_over;
}

TunnelWatch::Next TunnelWatch::not_decided(const Error& error) {
  const Fault fault = fault_of(error.code);
  if (fault == Fault::no_answer) return not_answered(error);
  services_.reauthorizer.answered(*this);
  if (fault == Fault::of_tunnel && ++own_answers_ >= kOwnAnswers) {
    code_ = "undecidable";
    record(Verdict::error, code_,
           fmt::format("OPA has answered {} times without a decision about this tunnel: {}.",
                       own_answers_, describe(error)));
    return Next::revoked;
  }
  record(Verdict::error, std::string(code_name(error.code)), failure_of(error).reason);
  const std::chrono::milliseconds pause = kWatchRetry * (1 << std::min(answers_++, kDoublings));
  schedule(std::min(pause, services_.config.tunnels.reauthorize));
  return Next::turn_over;
}

TunnelWatch::Next TunnelWatch::judge(opa::Decision decision) {
  services_.reauthorizer.saw_revision(decision.revision);
  services_.revisions.saw_revision(decision.revision);
  services_.reauthorizer.answered(*this);
  answers_ = own_answers_ = 0;
  if (!decision.allow) {
    return revoke("revoked",
                  decision.reason.value_or("The policy does not allow this tunnel any more."));
  }
  if (decision.read_only && tunnel_.request.kind == "forward") {
    return revoke("revoked",
                  "The policy limits which requests may be made here now, and those inside a "
                  "WebSocket can't be seen.");
  }
  if (decision.sni && !tunnel_.decision.sni) {
    return revoke("revoked",
                  "The policy asks for a ClientHello that names the host now, and this tunnel was "
                  "opened without a look at it.");
  }
  if (const auto objection = objection_to({tunnel_.origin.address}, tunnel_.origin.port,
                                          services_.guard, allowed_ranges(decision))) {
    return revoke("revoked", objection->reason);
  }
  tunnel_.decision = std::move(decision);
  record(Verdict::allow, "reauthorized",
         tunnel_.decision.reason.value_or("The policy still allows this tunnel."));
  schedule(services_.config.tunnels.reauthorize);
  return Next::turn_over;
}

TunnelWatch::Next TunnelWatch::revoke(std::string code, std::string reason) {
  record(Verdict::deny, code, std::move(reason));
  code_ = std::move(code);
  return Next::revoked;
}

TunnelWatch::Next TunnelWatch::revoke_for_caller(std::string code, std::string message,
                                                 const std::string& what) {
  services_.records.write(
      Diagnostic{LogLevel::warn,
                 code,
                 std::move(message),
                 {{"request_id", tunnel_.subject.request_id}, {"changed", what}}});
  code_ = std::move(code);
  return Next::revoked;
}

void TunnelWatch::record(Verdict verdict, std::string code, std::string reason) {
  DecisionRecord record;
  record.subject = tunnel_.subject;
  describe_identity(tunnel_.caller, record);
  record.verdict = verdict;
  record.code = std::move(code);
  record.reason = std::move(reason);
  const bool answered = answer_ && *answer_;
  if (!answered) record.subject.decision_id.reset();
  if (verdict == Verdict::allow) {
    record.policy = tunnel_.decision.policy;
    record.would_deny = tunnel_.decision.would_deny;
  }
  record.opa_us = took_.count();
  services_.metrics.count_decision(record.verdict, record.code);
  services_.records.write(record);
}

void TunnelWatch::schedule(std::chrono::milliseconds after) {
  if (after.count() > 0) timer_.start(services_.reauthorizer.jittered(after));
}

}  // namespace warder::proxy
