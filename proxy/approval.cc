#include "proxy/approval.h"

#include <fmt/format.h>

#include <cassert>
#include <set>
#include <utility>

#include "identity/investigator.h"
#include "proxy/exchange_record.h"

namespace warder::proxy {

namespace {

// So often the caller may have become another between its look-up and the opening.
constexpr int kCallerChanges = 3;
// And so often what is behind it, as a relay, may have become more: that never becomes less.
constexpr int kArrivals = 8;

// Whether the same executables have the connection, whatever the number of their processes.
bool same_programs(const identity::Identity& before, const identity::Identity& now) {
  const auto images = [](const identity::Identity& of) {
    std::set<identity::FileId> set;
    for (const identity::Process& process : of.processes) set.insert(process.image);
    return set;
  };
  return !now.reason && images(before) == images(now);
}

Failure denial(std::string code, std::string reason) {
  return {Verdict::deny, std::move(code), std::move(reason), 403, std::nullopt};
}

}  // namespace

Approval::Approval(Services& services, Listener& listener, identity::Connection connection,
                   opa::Query::Request request, DecisionRecord& record)
    : services_(services),
      listener_(listener),
      connection_(connection),
      request_(std::move(request)),
      record_(record) {}

void Approval::begin(identity::Identity identity, std::int64_t identity_us, Look look) {
  assert(state_ == State::identifying);
  look_ = look;
  record_.identity_us = identity_us;
  services_.metrics.observe_identity(std::chrono::microseconds(identity_us));
  identified(std::move(identity));
  advance();
}

void Approval::cancel() {
  state_ = State::done;
  call_.reset();
  counted_.reset();
  second_look_.reset();
  identity_slot_.reset();
}

void Approval::identified(identity::Identity identity) {
  identity_ = std::move(identity);
  forget_answer();
  describe_identity(identity_, record_);
  services_.metrics.count_identity(identity_);
  identity_slot_.reset();
  identity_key_ = identity_key(identity_, record_.subject.client);
  identity_slot_ = services_.limits.take_identity(identity_key_);
  if (!identity_slot_) {
    state_ = State::over_limit;
    return;
  }
  query_ = make_query(record_.subject, identity_, request_);
  if (!services_.gate.is_open()) {
    state_ = State::too_early;
  } else if (reuse()) {
    state_ = State::reusing;
  } else if (held_back()) {
    state_ = State::held_back;
  } else {
    ask();
    state_ = State::deciding;
  }
}

void Approval::advance() {
  for (;;) {
    const Next next = step();
    if (next == Next::wait) return;
    if (next == Next::again) continue;
    state_ = State::done;
    if (next == Next::approved) {
      if (record_.reused) services_.metrics.count_reused_answer();
      return listener_.on_approved();
    }
    return listener_.on_not_approved(std::move(failure_));
  }
}

Approval::Next Approval::step() {
  switch (state_) {
    case State::identifying: return Next::wait;
    case State::over_limit:
      return fail({Verdict::error, "identity_limit",
                   "This program has as many connections open as one program may have.", 429,
                   kRetryAfterSeconds});
    case State::too_early:
      return fail({Verdict::error, "starting",
                   "Warder has just started, and OPA has not answered its probe yet.", 503,
                   kRetryAfterSeconds});
    case State::held_back:
      return fail({Verdict::error, "denial_rate",
                   "This program was denied so often that OPA is not asked now.", 429,
                   kRetryAfterSeconds});
    case State::reusing: return do_reusing();
    case State::deciding: return do_deciding();
    case State::confirming: return do_confirming();
    case State::looking_anew: return do_looking_anew();
    case State::done: break;
  }
  return Next::wait;
}

void Approval::ask() {
  answer_.reset();
  asked_at_ns_ = uv_hrtime();
  changes_when_asked_ = services_.reuse.changes();
  call_ = services_.opa.ask(query_, identity_key_, [this](Result<opa::Decision> answer) {
    answer_ = std::move(answer);
    advance();
  });
}

// Not for a caller that isn't known: that one could be anybody the next time.
bool Approval::reuse() {
  reuse_key_.clear();
  record_.reused = false;
  if (services_.config.opa.max_age.count() == 0) return false;
  if (identity_.grade == identity::Grade::unresolved) return false;
  reuse_key_ = opa::reuse_key(query_);
  const opa::Decision* known = services_.reuse.find(reuse_key_);
  if (known == nullptr) return false;
  record_.reused = true;
  note(*known);
  return true;
}

bool Approval::held_back() {
  if (!services_.denials.enabled()) return false;
  counted_ =
      services_.denials.ask(identity_key_, reuse_key_.empty() ? opa::reuse_key(query_) : reuse_key_,
                            DenialLimit::Clock::now());
  return counted_ == nullptr;
}

// Of the caller looked at before.
void Approval::forget_answer() {
  record_.subject.decision_id.reset();
  record_.policy.reset();
  record_.would_deny = false;
  record_.reused = false;
  record_.reason.clear();
}

void Approval::note(opa::Decision decision) {
  decision_ = std::move(decision);
  record_.subject.decision_id = decision_.decision_id;
  record_.policy = decision_.policy;
  record_.would_deny = decision_.would_deny;
  record_.reason = decision_.reason.value_or("The policy allows this request.");
}

// Nothing was waited for since a fresh look, so that there is nothing to look at again.
Approval::Next Approval::do_reusing() {
  if (look_ == Look::fresh) return Next::approved;
  look_again();
  state_ = State::confirming;
  return Next::again;
}

Approval::Next Approval::do_deciding() {
  if (!answer_) return Next::wait;
  const std::chrono::microseconds took((uv_hrtime() - asked_at_ns_) / 1000);
  record_.opa_us = took.count();
  services_.metrics.observe_opa(*answer_, took);
  const auto counted = std::move(counted_);
  if (!*answer_) {
    if (counted) counted->failed();
    return fail(failure_of(answer_->error()));
  }
  note(std::move(**answer_));
  if (counted) counted->answered(decision_.allow);
  const bool current = services_.reuse.changes() == changes_when_asked_;
  services_.reauthorizer.saw_revision(decision_.revision);
  services_.revisions.saw_revision(decision_.revision);
  if (current && !reuse_key_.empty()) services_.reuse.remember(reuse_key_, decision_);
  if (decision_.undefined) {
    return fail(
        denial("policy_undefined",
               "The policy has nothing to say about this request: its decision is undefined."));
  }
  if (!decision_.allow) {
    return fail(denial("denied", decision_.reason.value_or("The policy denies this request.")));
  }
  // A caller that isn't known can't be found unchanged either: then the policy's word is all there
  // is.
  if (identity_.grade == identity::Grade::unresolved) return Next::approved;
  look_again();
  state_ = State::confirming;
  return Next::again;
}

void Approval::look_again() {
  change_.reset();
  second_look_ = services_.identities.confirm(connection_, identity_, services_.loop,
                                              [this](std::optional<identity::Change> change) {
                                                change_ = std::move(change);
                                                advance();
                                              });
}

Approval::Next Approval::do_confirming() {
  if (!change_) return Next::wait;
  if (!*change_) return Next::approved;
  const identity::Change& change = **change_;
  const bool too_often = change.behind ? ++arrivals_ >= kArrivals : ++changes_ >= kCallerChanges;
  if (change.closed || too_often) return fail_changed(change.what);
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
Approval::Next Approval::do_looking_anew() {
  if (!now_) return Next::wait;
  if (!same_programs(identity_, *now_)) {
    std::string what = std::move((*change_)->what);
    if (now_->reason) what += "; then " + now_->detail;
    return fail_changed(what);
  }
  identity::Identity now = std::move(*std::exchange(now_, std::nullopt));
  identity::keep_relayed(identity_, now);
  look_ = Look::fresh;
  identified(std::move(now));
  return Next::again;
}

Approval::Next Approval::fail(Failure failure) {
  failure_ = std::move(failure);
  return Next::failed;
}

Approval::Next Approval::fail_changed(const std::string& what) {
  return fail(denial("client_raced",
                     fmt::format("The caller changed while its request was decided: {}.", what)));
}

}  // namespace warder::proxy
