#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/connection.h"
#include "tests/support/loop_fixture.h"
#include "tests/support/sockets.h"

namespace warder::testing {

// Answers that a test gives when it wants, or never. Cancelled questions are taken out.
template <class Value>
class GateQuestions {
 public:
  using Callback = std::function<void(Value)>;
  class Pending {
   public:
    Pending(GateQuestions& owner, Callback callback)
        : owner_(owner), callback_(std::move(callback)) {
      owner_.open_.push_back(this);
    }
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() { std::erase(owner_.open_, this); }

   private:
    friend class GateQuestions;
    GateQuestions& owner_;
    Callback callback_;
  };

  [[nodiscard]] std::size_t open() const { return open_.size(); }
  [[nodiscard]] std::size_t asked() const { return asked_; }
  // Answers the oldest open question, which must exist.
  void answer(Value value) {
    Pending* pending = open_.front();
    open_.pop_front();
    Callback callback = std::move(pending->callback_);
    callback(std::move(value));
  }
  void count() { ++asked_; }

 private:
  std::deque<Pending*> open_;
  std::size_t asked_ = 0;
};

class GateResolver final : public identity::Resolver {
 public:
  GateQuestions<identity::Identity> first;
  GateQuestions<std::optional<identity::Change>> second;

  std::unique_ptr<identity::Lookup> start(const identity::Connection& connection, net::Loop& loop,
                                          Callback callback) override;
  std::unique_ptr<identity::Lookup> confirm(const identity::Connection& connection,
                                            const identity::Identity& before, net::Loop& loop,
                                            ConfirmCallback callback) override;
};

class GateOpa final : public opa::Client {
 public:
  GateQuestions<Result<opa::Decision>> calls;
  std::vector<opa::Query> queries;
  std::vector<std::string> callers;  // of each query

  GateQuestions<Result<opa::Document>> reads;
  std::vector<std::string> paths;

  std::unique_ptr<opa::Call> ask(const opa::Query& query, std::string_view caller,
                                 Callback callback) override;
  std::unique_ptr<opa::Call> read(std::string_view path, DocumentCallback callback) override;
};

class GateNames final : public net::NameResolver {
 public:
  GateQuestions<Result<std::vector<net::IpAddress>>> lookups;
  std::vector<std::string> names;

  std::unique_ptr<net::NameLookup> start(const std::string& name, Callback callback) override;
};

class GateRecords final : public proxy::RecordSink {
 public:
  std::vector<proxy::DecisionRecord> decisions;
  std::vector<proxy::TunnelRecord> tunnels;
  std::vector<proxy::Diagnostic> diagnostics;

  void write(const proxy::DecisionRecord& record) override { decisions.push_back(record); }
  void write(const proxy::TunnelRecord& record) override { tunnels.push_back(record); }
  void write(const proxy::Diagnostic& record) override { diagnostics.push_back(record); }
};

class GateRevisions final : public proxy::RevisionListener {
 public:
  std::vector<std::optional<std::string>> seen;
  void saw_revision(const std::optional<std::string>& revision) override {
    seen.push_back(revision);
  }
};

[[nodiscard]] identity::Identity known_caller();
[[nodiscard]] opa::Decision allow_decision();
[[nodiscard]] opa::Decision deny_decision();

// One connection of the gate on a real socket, with everything it asks scripted.
class GateFixture : public LoopFixture, proxy::Connection::Owner {
 public:
  GateFixture();
  virtual ~GateFixture();

  // Sends `bytes` from the client's side.
  void send(std::string_view bytes);
  // Runs the loop until `done`; fails the test when it does not come.
  void wait_for(const std::function<bool()>& done);
  // Runs the loop until the client has read its answer to the end, and returns it.
  std::string read_answer();
  // Brings a CONNECT for `authority` as far as OPA's answer.
  void reach_decision(std::string_view authority);
  // Takes it on to the tunnel; the origin's end is then accepted().
  void open_tunnel();
  [[nodiscard]] bool closed() const { return !connection_; }
  // Whether the caller of the last question was denied once.
  [[nodiscard]] bool denied_once();
  [[nodiscard]] net::UniqueFd accept_origin();

  proxy::Config config;
  GateResolver resolver;
  GateOpa opa;
  GateNames names;
  GateRecords records;
  proxy::Metrics metrics;
  opa::AnswerReuse reuse{{std::chrono::seconds(10)}};
  proxy::Reauthorizer reauthorizer{loop(), records, reuse};
  proxy::UpstreamPool upstreams{loop(), {}};
  GateRevisions revisions;
  proxy::StartupGate gate;
  proxy::DenialLimit denials{1};  // and two at once
  const std::string pseudonym = "warder-test";
  Listening origin = listen_somewhere();
  net::UniqueFd client;
  int buffers = 0;  // SO_SNDBUF of the gate's end and SO_RCVBUF of the client's; 0: the system's

  // Made by begin() from `config` as it is then.
  void begin();
  [[nodiscard]] proxy::Connection& connection() { return *connection_; }
  // What it works with.
  [[nodiscard]] proxy::Services& services() { return *services_; }

 private:
  void on_closed(proxy::Connection& connection) override;

  tls::ClientHelloParser hellos_ = tls::ClientHelloParser::create().value();
  proxy::ConnectionLimits limits_{{10, 10, 1}};
  proxy::AddressGuard guard_{proxy::GuardOptions{true, {}, {}}};
  std::unique_ptr<proxy::Services> services_;
  std::unique_ptr<proxy::Connection> connection_;
};

}  // namespace warder::testing
