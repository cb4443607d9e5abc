#include "proxy/worker.h"

#include <atomic>
#include <catch2/catch_test_macros.hpp>
#include <vector>

#include "net/socket.h"
#include "tests/component/proxy/gate_fixture.h"

namespace warder::testing {
namespace {

class CountedRecords final : public proxy::RecordSink {
 public:
  std::atomic<int> answered{0};
  std::atomic<int> unanswered{0};

  void write(const proxy::DecisionRecord& record) override {
    if (record.code != "connection_limit") return;
    ++(record.status == 429 ? answered : unanswered);
  }
  void write(const proxy::TunnelRecord& /*record*/) override {}
  void write(const proxy::Diagnostic& /*record*/) override {}
};

TEST_CASE_METHOD(LoopFixture, "A worker records every connection above the limits") {
  constexpr int kClients = 70;
  proxy::Config config;
  config.timeouts.linger = std::chrono::seconds(60);
  GateResolver identities;
  const proxy::AddressGuard guard{proxy::GuardOptions{}};
  proxy::ConnectionLimits limits({1, 1, 1});
  CountedRecords records;
  proxy::Metrics metrics;
  const net::Endpoint loopback{net::IpAddress::v4({127, 0, 0, 1}), 0};
  GateRevisions revisions;
  const proxy::StartupGate gate;
  proxy::DenialLimit denials(0);
  const std::string pseudonym = "warder-test";
  proxy::NameServersLog name_servers{records};
  const auto taken = limits.take_connection(loopback.address);
  opa::ClientOptions opa;
  opa.address = *opa::parse_url("unix:///nowhere");
  proxy::OpaAddresses opa_addresses;
  const proxy::Shared shared{config,  opa,       identities,  guard,     opa_addresses,
                             limits,  records,   metrics,     revisions, gate,
                             denials, pseudonym, name_servers};
  auto worker = proxy::Worker::create(shared, {loopback});
  REQUIRE(worker);
  (*worker)->start();
  std::vector<net::UniqueFd> clients;
  for (int i = 0; i < kClients; ++i) {
    auto client = net::start_connect((*worker)->addresses().front());
    REQUIRE(client);
    clients.push_back(std::move(*client));
  }
  CHECK(run_until([&] { return records.answered + records.unanswered == kClients; }));
  // Those told linger; how many may at once is bounded.
  CHECK(records.answered == 64);
  CHECK(records.unanswered == kClients - 64);
}

}  // namespace
}  // namespace warder::testing
