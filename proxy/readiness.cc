#include "proxy/readiness.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "net/socket.h"
#include "proxy/request_id.h"

namespace warder::proxy {

namespace {

constexpr std::chrono::milliseconds kEveryUntilReady{500};
constexpr std::uint64_t kTellWaitingEveryMs = 10000;

}  // namespace

opa::Query probe_question() {
  opa::Query query;
  query.host = "probe.invalid";
  query.port = 443;
  query.request_id = new_request_id();
  query.request.kind = "connect";
  query.request.method = "CONNECT";
  query.client.address = "127.0.0.1";
  query.identity.grade = identity::name(identity::Grade::unresolved);
  query.identity.assurance = identity::name(identity::Assurance::observed);
  query.identity.reason = "probe";
  query.identity.detail = "Warder asks whether the policy answers; nobody is calling.";
  return query;
}

Readiness::Readiness(net::Loop& loop, opa::Client& opa, identity::Resolver& identities,
                     RecordSink& records, StartupGate& gate, Options options)
    : loop_(loop),
      opa_(opa),
      identities_(identities),
      records_(records),
      gate_(gate),
      options_(std::move(options)),
      timer_(loop, [this] { probe(); }) {}

void Readiness::start() {
  began_ms_ = loop_.now_ms();
  probe();
}

void Readiness::set_listening(bool listening) {
  const std::lock_guard lock(mutex_);
  listening_ = listening;
}

std::vector<Check> Readiness::checks() const {
  const std::lock_guard lock(mutex_);
  const auto pending = [](const char* name, bool required) {
    return Check{name, false, required, "not checked yet"};
  };
  const bool open = gate_.is_open();
  return {
      Check{"gate", open, true, open ? "requests are decided" : "no request is decided yet"},
      Check{"listening", listening_, true, listening_ ? "accepting connections" : "not accepting"},
      opa_check_.value_or(pending("opa", true)),
      log_check_.value_or(pending("decision_log", false)),
      identity_check_.value_or(pending("identity", true))};
}

void Readiness::probe() {
  // Whatever kept it from being found may pass (a queue that was full, a scan that raced).
  if (!identity_works() && !self_client_) look_up_self();
  call_ = opa_.ask(probe_question(),
                   [this](const Result<opa::Decision>& answer) { on_answer(answer); });
}

void Readiness::on_answer(const Result<opa::Decision>& answer) {
  Check opa{"opa", false, true, {}};
  if (!answer) {
    opa.detail = describe(answer.error());
  } else if (answer->undefined) {
    opa.detail =
        "OPA answers, but the decision is undefined: is the policy loaded, and opa.path right?";
  } else {
    opa.ok = true;
    opa.detail = "OPA answered the probe";
    options_.on_revision(answer->revision);
  }
  if (answer) {
    const bool logged = answer->decision_id.has_value();
    set(log_check_, {"decision_log", logged, false,
                     logged ? "OPA gives decision ids"
                            : "OPA gave no decision id: its decision log is off, so its decisions "
                              "can't be traced"});
  }
  if (!opa.ok || gate_.is_open()) return conclude(std::move(opa));
  // A policy from a file may answer before the bundles that it belongs to are there.
  call_ = opa_.read("/health?bundles", [this, opa](const Result<opa::Document>& health) {
    if (health) return conclude(opa);
    conclude({"opa", false, true, "OPA is not healthy: " + describe(health.error())});
  });
}

void Readiness::conclude(Check opa) {
  if (!gate_.is_open()) attend_gate(opa);
  const bool ready = opa.ok && gate_.is_open() && identity_works();
  set(opa_check_, std::move(opa));
  timer_.start(ready ? options_.every : kEveryUntilReady);
}

void Readiness::attend_gate(const Check& opa) {
  const std::uint64_t now = loop_.now_ms();
  if (!opa.ok) {
    waited_for_opa_ = true;
    return tell_waiting(opa);
  }
  if (!std::exchange(answers_since_ms_, answers_since_ms_.value_or(now)) && waited_for_opa_) {
    // What was read before it had the policy is another one's.
    options_.read_names();
  }
  const Check names = options_.names();
  const std::chrono::milliseconds waited{now - *answers_since_ms_};
  if (!names.ok && waited < options_.names_patience) return tell_waiting(names);
  gate_.open();
  Diagnostic told{LogLevel::info,
                  "gate_open",
                  "Requests are decided from now on.",
                  {{"waited_ms", std::to_string(now - began_ms_)}}};
  if (!names.ok) {
    told.level = LogLevel::warn;
    told.message += " Callers may lack names that the policy has for them.";
    told.fields.emplace_back(names.name, names.detail);
  }
  records_.write(told);
}

void Readiness::tell_waiting(const Check& for_what) {
  const std::uint64_t now = loop_.now_ms();
  if (now < tell_at_ms_) return;
  tell_at_ms_ = now + kTellWaitingEveryMs;
  records_.write(Diagnostic{
      LogLevel::warn,
      "gate_waiting",
      "No request is decided until OPA is healthy, answers the probe and has said which "
      "paths the policy mentions.",
      {{for_what.name, for_what.detail}, {"waited_ms", std::to_string(now - began_ms_)}}});
}

// Only the loop's thread writes what this reads.
bool Readiness::identity_works() const { return identity_check_ && identity_check_->ok; }

void Readiness::look_up_self() {
  const net::Endpoint loopback{net::IpAddress::v4({127, 0, 0, 1}), 0};
  Result<net::UniqueFd> listener = net::listen_tcp(loopback, 1, net::PortSharing::exclusive);
  const Result<net::Endpoint> at =
      listener ? net::local_endpoint(listener->get()) : fail(listener.error());
  Result<net::UniqueFd> client = at ? net::start_connect(*at) : fail(at.error());
  const Result<net::Endpoint> from =
      client ? net::local_endpoint(client->get()) : fail(client.error());
  if (!from) {
    return set(identity_check_,
               {"identity", false, true, "no connection to look up: " + describe(from.error())});
  }
  self_listener_ = std::move(*listener);
  self_client_ = std::move(*client);
  lookup_ = identities_.start({*from, *at, std::nullopt}, loop_,
                              [this](const identity::Identity& identity) { on_self(identity); });
}

void Readiness::on_self(const identity::Identity& identity) {
  const bool found = identity.processes.size() == 1 && identity.processes.front().pid == getpid();
  set(identity_check_,
      {"identity", found, true,
       found ? "a connection of Warder's own was traced to it"
             : fmt::format("a connection of Warder's own was not traced to it: {}",
                           identity.detail.empty() ? identity::name(identity.grade)
                                                   : std::string_view(identity.detail))});
  self_client_.reset();
  self_listener_.reset();
}

void Readiness::set(std::optional<Check>& check, Check value) {
  const bool changed = !check || check->ok != value.ok;
  if (changed) {
    const LogLevel bad = value.required ? LogLevel::error : LogLevel::warn;
    records_.write(Diagnostic{value.ok ? LogLevel::info : bad,
                              "check_" + value.name,
                              value.detail,
                              {{"ok", value.ok ? "true" : "false"}}});
  }
  const std::lock_guard lock(mutex_);
  check = std::move(value);
}

}  // namespace warder::proxy
