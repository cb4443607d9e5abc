#include "resolver_run.h"

#include <utility>

#include "identity/queued_resolver.h"
#include "plain_lookup.h"

namespace warder::bench {
namespace {

class NoInvestigator final : public identity::Investigator {
 public:
  [[nodiscard]] std::vector<identity::Identity> look(
      std::span<const identity::Connection> connections) override {
    return std::vector<identity::Identity>(connections.size());
  }
};

}  // namespace

Sample ResolverRun::measure(const Plan& plan) {
  progress_.emplace(plan);
  loop_.post([this] { begin_wave(); });
  loop_.run();
  lookups_.clear();
  return std::move(sample_);
}

void ResolverRun::begin_wave() {
  lookups_.clear();
  waiting_ = clients_.size();
  wave_begin_ = Clock::now();
  for (const Client& client : clients_)
    lookups_.push_back(resolver_.start(
        client.connection, loop_,
        [this, &client](const identity::Identity& identity) { answered(client, identity); }));
}

void ResolverRun::answered(const Client& client, const identity::Identity& identity) {
  const double us = us_since(wave_begin_);
  sample_.lookup_us.push_back(us);
  const bool right = identity.processes.size() == 1 && identity.processes[0].pid == client.pid &&
                     identity.processes[0].path == client.path;
  if (!right) ++sample_.wrong;
  std::string how = identity.method + ", ";
  how += identity.reason ? name(*identity.reason) : name(identity.assurance);
  ++sample_.how[std::move(how)];
  if (--waiting_ > 0) return;
  sample_.wave_us.push_back(us);
  if (progress_->go_on(sample_))
    begin_wave();
  else
    loop_.stop();
}

Sample measure_hop(net::Loop& loop, std::span<const Client> clients, const Plan& plan) {
  identity::QueuedResolver resolver(std::make_unique<NoInvestigator>(), {});
  return ResolverRun(resolver, loop, clients).measure(plan);
}

Sample measure_plain(std::span<const Client> clients, const Plan& plan) {
  PlainLookup plain;
  Sample sample;
  Progress progress(plan);
  do {
    const auto begin = Clock::now();
    for (const Client& client : clients) {
      const auto answer = plain.look(client.connection.client, client.connection.proxy);
      sample.lookup_us.push_back(us_since(begin));
      const bool right = answer && answer->holders == std::vector<pid_t>{client.pid} &&
                         answer->path == client.path;
      if (!right) ++sample.wrong;
      ++sample.how["tables, /proc/*/fd"];
    }
    sample.wave_us.push_back(us_since(begin));
  } while (progress.go_on(sample));
  return sample;
}

}  // namespace warder::bench
