#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "identity/abilities.h"
#include "identity/identity.h"
#include "net/lookup.h"
#include "opa-client/client.h"
#include "proxy/record.h"

namespace warder::proxy {

// What is counted, in Prometheus' text format. Any thread.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // `code` is one of the stable codes: their number bounds the number of time series.
  void count_decision(Verdict verdict, std::string_view code);
  void observe_identity(std::chrono::microseconds took);
  // One lookup: its grade, assurance and reason, and each of its causes. Fixed words only.
  void count_identity(const identity::Identity& identity);
  void set_abilities(const identity::Abilities& abilities);
  // One question, with its outcome: "allow", "deny", "undefined", or the code of the error.
  void observe_opa(const Result<opa::Decision>& answer, std::chrono::microseconds took);
  void note_opa(const opa::ClientEvent& event);
  void count_reused_answer();
  void count_name_lookup(net::LookupSource source);
  // Of the paths that the policy mentions: those that callers are looked for at, and the others.
  void set_policy_paths(std::size_t looked_up, std::size_t left_out);
  void connection_opened();
  void connection_closed();
  void tunnel_opened();
  void tunnel_closed(std::uint64_t bytes_up, std::uint64_t bytes_down);
  // A forwarded request that reached an origin is over.
  void request_over(std::uint64_t bytes_up, std::uint64_t bytes_down);
  void count_dropped_records(std::uint64_t dropped);

  // The exposition format, version 0.0.4.
  [[nodiscard]] std::string serialize() const;

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

// "allow", "deny" or "error".
[[nodiscard]] std::string_view name(Verdict verdict);

}  // namespace warder::proxy
