#include "tests/component/proxy/gate_fixture.h"

#include <sys/socket.h>

#include <catch2/catch_test_macros.hpp>

#include "net/socket.h"
#include "proxy/exchange_record.h"

namespace warder::testing {

namespace {

// A question as the interface at hand calls it.
template <class Base, class Value>
class PendingQuestion final : public Base {
 public:
  PendingQuestion(GateQuestions<Value>& questions, typename GateQuestions<Value>::Callback callback)
      : pending_(questions, std::move(callback)) {
    questions.count();
  }

 private:
  typename GateQuestions<Value>::Pending pending_;
};

}  // namespace

std::unique_ptr<identity::Lookup> GateResolver::start(const identity::Connection&, net::Loop&,
                                                      Callback callback) {
  return std::make_unique<PendingQuestion<identity::Lookup, identity::Identity>>(
      first, std::move(callback));
}

std::unique_ptr<identity::Lookup> GateResolver::confirm(const identity::Connection&,
                                                        const identity::Identity&, net::Loop&,
                                                        ConfirmCallback callback) {
  return std::make_unique<PendingQuestion<identity::Lookup, std::optional<identity::Change>>>(
      second, std::move(callback));
}

std::unique_ptr<opa::Call> GateOpa::ask(const opa::Query& query, std::string_view caller,
                                        Callback callback) {
  queries.push_back(query);
  callers.emplace_back(caller);
  return std::make_unique<PendingQuestion<opa::Call, Result<opa::Decision>>>(calls,
                                                                             std::move(callback));
}

std::unique_ptr<opa::Call> GateOpa::read(std::string_view path, DocumentCallback callback) {
  paths.emplace_back(path);
  return std::make_unique<PendingQuestion<opa::Call, Result<opa::Document>>>(reads,
                                                                             std::move(callback));
}

std::unique_ptr<net::NameLookup> GateNames::start(const std::string& name, Callback callback) {
  names.push_back(name);
  return std::make_unique<PendingQuestion<net::NameLookup, Result<std::vector<net::IpAddress>>>>(
      lookups, std::move(callback));
}

identity::Identity known_caller() {
  identity::Process process;
  process.pid = 4711;
  process.uid = 1000;
  process.binary = "/usr/bin/curl";
  process.path = "/usr/bin/curl";
  process.image = {1, 2};
  identity::Identity identity;
  identity.grade = identity::Grade::exact;
  identity.scope = identity::Scope{};
  identity.inode = 99;
  identity.processes = {process};
  return identity;
}

opa::Decision allow_decision() {
  opa::Decision decision;
  decision.allow = true;
  decision.reason = "the test allows it";
  decision.decision_id = "decision-1";
  decision.allowed_ips = {"127.0.0.0/8"};
  return decision;
}

opa::Decision deny_decision() {
  opa::Decision decision = allow_decision();
  decision.allow = false;
  decision.reason = "the test denies it";
  return decision;
}

GateFixture::GateFixture() { gate.open(); }

GateFixture::~GateFixture() {
  client.reset();
  if (connection_) connection_->end("test over");
  upstreams.clear();
  run_turns(3);
  connection_.reset();
}

void GateFixture::begin() {
  // Once: a connection before this one may be in the loop's graveyard, and still need them.
  if (!services_) {
    services_ = std::make_unique<proxy::Services>(proxy::Services{
        loop(), opa, names, hellos_, config, resolver, guard_, limits_, records, metrics, upstreams,
        reuse, reauthorizer, revisions, gate, denials, pseudonym});
  }
  Pair pair = tcp_pair();
  if (buffers > 0) {
    REQUIRE(::setsockopt(pair.far.get(), SOL_SOCKET, SO_SNDBUF, &buffers, sizeof buffers) == 0);
    REQUIRE(::setsockopt(pair.near.get(), SOL_SOCKET, SO_RCVBUF, &buffers, sizeof buffers) == 0);
  }
  client = std::move(pair.near);
  const Result<net::Endpoint> peer = net::peer_endpoint(pair.far.get());
  connection_ = std::make_unique<proxy::Connection>(
      *services_, static_cast<proxy::Connection::Owner&>(*this), 1, std::move(pair.far), *peer);
  connection_->serve(std::move(*limits_.take_connection(peer->address).slot));
}

void GateFixture::on_closed(proxy::Connection&) { loop().retire(std::move(connection_)); }

void GateFixture::send(std::string_view bytes) {
  while (!bytes.empty()) {
    bytes.remove_prefix(write_available(client.get(), bytes));
    if (!bytes.empty()) run_turns(1);
  }
}

void GateFixture::wait_for(const std::function<bool()>& done) { REQUIRE(run_until(done)); }

std::string GateFixture::read_answer() {
  std::string answer;
  wait_for([&] { return !read_available(client.get(), answer); });
  return answer;
}

void GateFixture::reach_decision(std::string_view authority) {
  begin();
  send("CONNECT " + std::string(authority) + " HTTP/1.0\r\n\r\n");
  wait_for([this] { return resolver.first.open() == 1; });
  resolver.first.answer(known_caller());
  wait_for([this] { return opa.calls.open() == 1; });
}

void GateFixture::open_tunnel() {
  reach_decision(origin.at.text());
  opa.calls.answer(allow_decision());
  wait_for([this] { return resolver.second.open() == 1; });
  resolver.second.answer(std::nullopt);
  std::string head;
  wait_for([&] {
    read_available(client.get(), head);
    return head.ends_with("\r\n\r\n");
  });
  REQUIRE(head.starts_with("HTTP/1.1 200 "));
}

net::UniqueFd GateFixture::accept_origin() {
  Result<std::optional<net::Accepted>> accepted = net::accept_tcp(origin.fd.get());
  if (!accepted || !*accepted) return {};
  return std::move((*accepted)->fd);
}

bool GateFixture::denied_once() {
  const auto now = proxy::DenialLimit::Clock::now();
  const std::string caller = proxy::identity_key(known_caller(), {});
  const auto one = denials.ask(caller, "one", now);
  const auto two = denials.ask(caller, "two", now);
  return one != nullptr && two == nullptr;
}

}  // namespace warder::testing
