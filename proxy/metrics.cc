#include "proxy/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>

namespace warder::proxy {

namespace {

using prometheus::BuildCounter;
using prometheus::BuildGauge;
using prometheus::BuildHistogram;

// Seconds: from a lookup that only asks the kernel to a walk over a large host.
const prometheus::Histogram::BucketBoundaries kLatencies{
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
    0.025,   0.05,   0.1,     0.25,   0.5,   1,      2.5,   5};

double seconds(std::chrono::microseconds took) {
  return std::chrono::duration<double>(took).count();
}

std::string_view outcome(const Result<opa::Decision>& answer) {
  if (!answer) return code_name(answer.error().code);
  if (answer->undefined) return "undefined";
  return answer->allow ? "allow" : "deny";
}

}  // namespace

// The counters of a family that were counted on before: to find one among its labels costs as much
// as a small system call. Any thread.
class SeenCounters {
 public:
  using Labels = std::array<std::string_view, 3>;

  template <class Add>
  prometheus::Counter& at(const Labels& labels, const Add& add) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto found = counters_.find(labels); found != counters_.end())
        return *found->second;
    }
    const std::unique_lock lock(mutex_);
    const std::array<std::string, 3> key{std::string(labels[0]), std::string(labels[1]),
                                         std::string(labels[2])};
    return *counters_.emplace(key, &add()).first->second;
  }

 private:
  struct Less {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
    }
  };
  std::shared_mutex mutex_;
  std::map<std::array<std::string, 3>, prometheus::Counter*, Less> counters_;
};

struct Metrics::Families {
  SeenCounters decisions_seen, lookups_seen, opa_calls_seen;

  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& decisions = BuildCounter()
                                                           .Name("warder_decisions_total")
                                                           .Help("Requests by verdict and code.")
                                                           .Register(registry);
  prometheus::Histogram& identity =
      BuildHistogram()
          .Name("warder_identity_seconds")
          .Help("From accepting a connection to knowing who is calling.")
          .Register(registry)
          .Add({}, kLatencies);
  prometheus::Family<prometheus::Counter>& lookups =
      BuildCounter()
          .Name("warder_identity_lookups_total")
          .Help("Lookups by grade, assurance and, where there is no owner, the reason.")
          .Register(registry);
  prometheus::Family<prometheus::Counter>& causes =
      BuildCounter()
          .Name("warder_identity_causes_total")
          .Help("What spoke against an identity, or could not be checked; several to a lookup.")
          .Register(registry);
  prometheus::Family<prometheus::Gauge>& abilities =
      BuildGauge()
          .Name("warder_identity_ability")
          .Help("Whether this kernel and these privileges allow a way of looking: 1 or 0.")
          .Register(registry);
  prometheus::Histogram& opa = BuildHistogram()
                                   .Name("warder_opa_seconds")
                                   .Help("From asking OPA to its answer, or to giving up.")
                                   .Register(registry)
                                   .Add({}, kLatencies);
  prometheus::Family<prometheus::Counter>& opa_calls = BuildCounter()
                                                           .Name("warder_opa_questions_total")
                                                           .Help("Questions to OPA by outcome.")
                                                           .Register(registry);
  prometheus::Gauge& breakers = BuildGauge()
                                    .Name("warder_opa_breakers_open")
                                    .Help("Workers that don't ask OPA because it didn't answer.")
                                    .Register(registry)
                                    .Add({});
  prometheus::Counter& reused = BuildCounter()
                                    .Name("warder_answers_reused_total")
                                    .Help("Requests for which an answer from before still held.")
                                    .Register(registry)
                                    .Add({});
  prometheus::Family<prometheus::Counter>& names =
      BuildCounter()
          .Name("warder_dns_lookups_total")
          .Help(
              "Names to be resolved, by where the answer was to come from: a query of their own, "
              "one under way, the cache, or nowhere because too many waited.")
          .Register(registry);
  prometheus::Counter& names_asked = names.Add({{"source", "asked"}});
  prometheus::Counter& names_joined = names.Add({{"source", "joined"}});
  prometheus::Counter& names_cached = names.Add({{"source", "cached"}});
  prometheus::Counter& names_refused = names.Add({{"source", "refused"}});
  prometheus::Family<prometheus::Gauge>& policy_paths =
      BuildGauge()
          .Name("warder_policy_paths")
          .Help("Paths that the policy mentions, by whether callers are looked for at them.")
          .Register(registry);
  prometheus::Gauge& connections = BuildGauge()
                                       .Name("warder_connections")
                                       .Help("Client connections open now.")
                                       .Register(registry)
                                       .Add({});
  prometheus::Gauge& tunnels =
      BuildGauge().Name("warder_tunnels").Help("Tunnels open now.").Register(registry).Add({});
  prometheus::Family<prometheus::Counter>& bytes = BuildCounter()
                                                       .Name("warder_tunnel_bytes_total")
                                                       .Help("Bytes moved by closed tunnels.")
                                                       .Register(registry);
  prometheus::Counter& bytes_up = bytes.Add({{"direction", "up"}});
  prometheus::Counter& bytes_down = bytes.Add({{"direction", "down"}});
  prometheus::Family<prometheus::Counter>& request_bytes =
      BuildCounter()
          .Name("warder_request_bytes_total")
          .Help("Bytes moved between origins and forwarded requests that are over.")
          .Register(registry);
  prometheus::Counter& request_bytes_up = request_bytes.Add({{"direction", "up"}});
  prometheus::Counter& request_bytes_down = request_bytes.Add({{"direction", "down"}});
  prometheus::Counter& requests = BuildCounter()
                                      .Name("warder_requests_total")
                                      .Help("Forwarded requests that reached an origin.")
                                      .Register(registry)
                                      .Add({});
  prometheus::Counter& dropped = BuildCounter()
                                     .Name("warder_records_dropped_total")
                                     .Help("Records lost because standard output was not read.")
                                     .Register(registry)
                                     .Add({});
};

Metrics::Metrics() : families_(std::make_unique<Families>()) {}
Metrics::~Metrics() = default;

void Metrics::count_decision(Verdict verdict, std::string_view code) {
  families_->decisions_seen
      .at({name(verdict), code, {}},
          [&]() -> prometheus::Counter& {
            return families_->decisions.Add(
                {{"verdict", std::string(name(verdict))}, {"code", std::string(code)}});
          })
      .Increment();
}

void Metrics::observe_identity(std::chrono::microseconds took) {
  families_->identity.Observe(seconds(took));
}

void Metrics::count_identity(const identity::Identity& identity) {
  const std::string_view grade = identity::name(identity.grade);
  const std::string_view assurance = identity::name(identity.assurance);
  const std::string_view reason = identity.reason ? identity::name(*identity.reason) : "";
  families_->lookups_seen
      .at({grade, assurance, reason},
          [&]() -> prometheus::Counter& {
            return families_->lookups.Add({{"grade", std::string(grade)},
                                           {"assurance", std::string(assurance)},
                                           {"reason", std::string(reason)}});
          })
      .Increment();
  for (const identity::Cause cause : identity.causes) {
    families_->causes.Add({{"cause", std::string(identity::name(cause))}}).Increment();
  }
}

void Metrics::set_abilities(const identity::Abilities& abilities) {
  for (const identity::Ability& ability : abilities) {
    families_->abilities.Add({{"name", ability.name}}).Set(ability.available ? 1 : 0);
  }
}

void Metrics::observe_opa(const Result<opa::Decision>& answer, std::chrono::microseconds took) {
  families_->opa.Observe(seconds(took));
  const std::string_view label = outcome(answer);
  families_->opa_calls_seen
      .at({label, {}, {}},
          [&]() -> prometheus::Counter& {
            return families_->opa_calls.Add({{"outcome", std::string(label)}});
          })
      .Increment();
}

void Metrics::note_opa(const opa::ClientEvent& event) {
  if (event.kind == opa::ClientEvent::Kind::breaker_opened) families_->breakers.Increment();
  if (event.kind == opa::ClientEvent::Kind::breaker_closed) families_->breakers.Decrement();
}

void Metrics::count_reused_answer() { families_->reused.Increment(); }

void Metrics::count_name_lookup(net::LookupSource source) {
  switch (source) {
    case net::LookupSource::asked: return families_->names_asked.Increment();
    case net::LookupSource::joined: return families_->names_joined.Increment();
    case net::LookupSource::cached: return families_->names_cached.Increment();
    case net::LookupSource::refused: return families_->names_refused.Increment();
  }
}

void Metrics::set_policy_paths(std::size_t looked_up, std::size_t left_out) {
  families_->policy_paths.Add({{"state", "looked_up"}}).Set(static_cast<double>(looked_up));
  families_->policy_paths.Add({{"state", "left_out"}}).Set(static_cast<double>(left_out));
}

void Metrics::connection_opened() { families_->connections.Increment(); }
void Metrics::connection_closed() { families_->connections.Decrement(); }
void Metrics::tunnel_opened() { families_->tunnels.Increment(); }

void Metrics::tunnel_closed(std::uint64_t bytes_up, std::uint64_t bytes_down) {
  families_->tunnels.Decrement();
  families_->bytes_up.Increment(static_cast<double>(bytes_up));
  families_->bytes_down.Increment(static_cast<double>(bytes_down));
}

void Metrics::request_over(std::uint64_t bytes_up, std::uint64_t bytes_down) {
  families_->requests.Increment();
  families_->request_bytes_up.Increment(static_cast<double>(bytes_up));
  families_->request_bytes_down.Increment(static_cast<double>(bytes_down));
}

void Metrics::count_dropped_records(std::uint64_t dropped) {
  families_->dropped.Increment(static_cast<double>(dropped));
}

std::string Metrics::serialize() const {
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::allow: return "allow";
    case Verdict::deny: return "deny";
    case Verdict::error: return "error";
  }
  return "error";
}

}  // namespace warder::proxy
