#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "identity/resolver.h"
#include "net/loop.h"
#include "net/timer.h"
#include "net/unique_fd.h"
#include "net/watcher.h"
#include "opa-client/client.h"
#include "proxy/admin.h"
#include "proxy/record.h"
#include "proxy/startup_gate.h"

namespace warder::proxy {

// No policy allows it: the name is reserved (RFC 6761 section 6.4) and nobody is calling.
[[nodiscard]] opa::Query probe_question();

// Finds out, again and again, whether the gate can do its job: asks OPA a probe question, and looks
// up the owner of a connection of its own. Belongs to one loop; checks() may be called on any
// thread.
class Readiness {
 public:
  struct Options {
    std::chrono::milliseconds every;  // between two probes, once all is well
    // Whether the paths that the policy mentions are known.
    std::function<Check()> names;
    // Has them read again, by a reading that begins now: until then names() is not ok. On the
    // loop's thread.
    std::function<void()> read_names;
    // What an answer says the policy's revision is, on the loop's thread.
    std::function<void(const std::optional<std::string>&)> on_revision;
    // For how long requests wait for those paths when OPA does answer. Without them a caller may
    // lack a name, and be refused.
    std::chrono::milliseconds names_patience{10000};
  };

  // All outlive it.
  Readiness(net::Loop& loop, opa::Client& opa, identity::Resolver& identities, RecordSink& records,
            StartupGate& gate, Options options);
  Readiness(const Readiness&) = delete;
  Readiness& operator=(const Readiness&) = delete;
  ~Readiness() = default;

  // Probes now and then again; more often until all is well. Its own connection is looked up until
  // it was found once. Opens the gate when OPA has answered the probe, then says that it is
  // healthy, all its bundles included, and the policy's paths are known; until then the log says
  // what is waited for.
  void start();
  void set_listening(bool listening);
  [[nodiscard]] std::vector<Check> checks() const;

 private:
  void probe();
  void on_answer(const Result<opa::Decision>& answer);
  void conclude(Check opa);
  void attend_gate(const Check& opa);
  void tell_waiting(const Check& for_what);
  [[nodiscard]] bool identity_works() const;
  void look_up_self();
  void on_self(const identity::Identity& identity);
  // Stores the outcome; tells the log when it changed.
  void set(std::optional<Check>& check, Check value);

  net::Loop& loop_;
  opa::Client& opa_;
  identity::Resolver& identities_;
  RecordSink& records_;
  StartupGate& gate_;
  const Options options_;
  std::uint64_t began_ms_ = 0;
  std::uint64_t tell_at_ms_ = 0;
  std::optional<std::uint64_t> answers_since_ms_;  // OPA, at first
  bool waited_for_opa_ = false;                    // it did not answer at first
  net::Timer timer_;
  std::unique_ptr<opa::Call> call_;
  std::unique_ptr<identity::Lookup> lookup_;
  // A connection of this process to itself, whose owner is therefore known.
  net::UniqueFd self_listener_, self_client_;

  mutable std::mutex mutex_;  // guards what follows
  bool listening_ = false;
  std::optional<Check> opa_check_, log_check_, identity_check_;
};

}  // namespace warder::proxy
