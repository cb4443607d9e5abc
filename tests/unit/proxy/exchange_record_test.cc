#include "proxy/exchange_record.h"

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "proxy/metrics.h"

namespace warder::proxy {
namespace {

using identity::Cause;
using identity::Grade;
using identity::Role;

identity::Process process(pid_t pid, std::vector<Role> roles, const std::string& path) {
  identity::Process made;
  made.pid = pid;
  made.uid = 998;
  made.gid = 999;
  made.roles = std::move(roles);
  made.path = path;
  made.binary = path;
  made.image = {1, static_cast<std::uint64_t>(path.size())};
  made.sha256 = "ab" + std::to_string(path.size());
  return made;
}

identity::Identity known() {
  identity::Identity identity;
  identity.grade = Grade::exact;
  identity.assurance = identity::Assurance::proven;
  identity.processes = {process(469, {Role::connector, Role::holder}, "/usr/bin/curl")};
  identity.processes[0].container = "4f5a";
  identity.processes[0].pod = "p-1";
  identity.processes[0].image_writable = true;
  identity.processes[0].traced = true;
  identity.processes[0].command_line = "curl -x";
  identity.processes[0].ancestors_complete = false;
  return identity;
}

DecisionRecord record_of(const identity::Identity& identity) {
  DecisionRecord record;
  describe_identity(identity, record);
  return record;
}

}  // namespace

TEST_CASE("a refused client is told about itself") {
  DecisionRecord record = record_of(known());
  record.code = "denied";
  record.reason = "allowed for /usr/bin/git, not for /usr/bin/curl";
  CHECK(told_to_client(record, Explain::full) == record.reason);
  CHECK(told_to_client(record, Explain::code) == "The policy denies this request.");

  identity::Identity nobody;
  nobody.reason = identity::Reason::socket_not_found;
  nobody.detail = "pid:1: no entry in 12 rows";
  record = record_of(nobody);
  record.code = "denied";
  CHECK(told_to_client(record, Explain::code) ==
        "The policy denies this request. The caller is not known for certain: pid:1: no entry in "
        "12 rows.");

  record.code = "opa_status";
  record.reason = "500 internal_error: /policy/a.rego:12";
  CHECK(told_to_client(record, Explain::code).find("a.rego") == std::string::npos);
  CHECK(told_to_client(record, Explain::full) == record.reason);

  record.code = "address_blocked";
  record.reason = "10.0.0.1 is private";
  CHECK(told_to_client(record, Explain::code) == record.reason);
}

TEST_CASE("what is known of a caller is asked with it") {
  identity::Identity identity = known();
  identity.relays = true;
  identity.via_complete = false;
  identity.via = {process(470, {}, "/tmp/x")};
  const opa::Query query = make_query(Subject{}, identity, connect_request());
  CHECK(query.binary == "/usr/bin/curl");
  CHECK(query.sha256 == "ab13");
  CHECK(query.identity.relays);
  CHECK_FALSE(query.identity.via_complete);
  REQUIRE(query.identity.via.size() == 1);
  CHECK(query.identity.via[0].pid == 470);
  CHECK(query.identity.via[0].uid == 998);
  CHECK(query.identity.via[0].binary == "/tmp/x");
  CHECK(query.identity.via[0].path == "/tmp/x");
  REQUIRE(query.identity.processes.size() == 1);
  const opa::QueryProcess& process = query.identity.processes[0];
  CHECK(process.gid == 999);
  CHECK(process.role == std::vector<std::string>{"connector", "holder"});
  CHECK(process.sha256 == "ab13");
  CHECK(process.container == "4f5a");
  CHECK(process.pod == "p-1");
  CHECK(process.image_writable);
  CHECK(process.traced);
  CHECK(process.command_line == "curl -x");
  CHECK_FALSE(process.ancestors_complete);
}

TEST_CASE("a caller's own name comes first, then the policy's names for it") {
  identity::Identity identity = known();
  identity.processes[0].names = {"/bin/curl", "/usr/bin/curl"};
  const auto names = [&] {
    return make_query(Subject{}, identity, connect_request()).identity.processes[0].names;
  };
  CHECK(names() == std::vector<std::string>{"/usr/bin/curl", "/bin/curl"});
  identity.processes[0].names.clear();
  CHECK(names() == std::vector<std::string>{"/usr/bin/curl"});
  identity.processes[0].binary.reset();
  CHECK(names().empty());
}

TEST_CASE("a hash is that of one program, also of one whose name can't be trusted") {
  identity::Identity identity = known();
  identity.processes[0].binary.reset();
  identity.causes = {Cause::alien_path};
  CHECK(make_query(Subject{}, identity, connect_request()).sha256 == "ab13");
  CHECK(record_of(identity).sha256 == "ab13");
  identity.causes = {Cause::hidden_holder};
  CHECK_FALSE(make_query(Subject{}, identity, connect_request()).sha256);
  identity.causes.clear();
  identity.grade = Grade::ambiguous;
  CHECK_FALSE(make_query(Subject{}, identity, connect_request()).sha256);
  identity.grade = Grade::shared;
  identity.processes.push_back(identity.processes[0]);
  CHECK(make_query(Subject{}, identity, connect_request()).sha256 == "ab13");
  identity.processes[1].sha256.reset();
  CHECK_FALSE(make_query(Subject{}, identity, connect_request()).sha256);
  identity.processes[1] = process(480, {Role::holder}, "/usr/bin/socat");
  CHECK_FALSE(make_query(Subject{}, identity, connect_request()).sha256);
}

TEST_CASE("a record names what connected before what only holds") {
  identity::Identity identity = known();
  identity.grade = Grade::ambiguous;
  identity.processes.insert(identity.processes.begin(),
                            process(7, {Role::holder}, "/usr/bin/socat"));
  identity.processes[1].roles = {Role::connector};
  identity.relays = true;
  identity.via = {process(470, {}, "/tmp/x")};
  const DecisionRecord record = record_of(identity);
  CHECK(record.subject.pid == 469);
  CHECK_FALSE(record.subject.binary);
  CHECK(record.holders == std::vector<std::string>{"/usr/bin/socat"});
  CHECK(record.connector == "/usr/bin/curl");
  CHECK_FALSE(record.container);
  CHECK(record.relays);
  CHECK(record.via == std::vector<std::string>{"/tmp/x"});

  const DecisionRecord plain = record_of(known());
  CHECK(plain.subject.binary == "/usr/bin/curl");
  CHECK(plain.container == "4f5a");
  CHECK(plain.holders.empty());
  CHECK_FALSE(plain.connector);
}

TEST_CASE("a program is counted as one, whatever it changes about itself") {
  const net::Endpoint client{net::IpAddress::v4({10, 0, 0, 2}), 4711};
  const std::string key = identity_key(known(), client);
  const auto changed = [&](auto change) {
    identity::Identity identity = known();
    change(identity);
    return identity_key(identity, {net::IpAddress::v4({10, 0, 0, 3}), 1});
  };
  using identity::Identity;
  CHECK(changed([](Identity& i) { i.processes.push_back(i.processes[0]); }) == key);
  CHECK(changed([](Identity& i) { i.processes[0].command_line = "curl http://other"; }) == key);
  CHECK(changed([](Identity& i) { i.processes[0].ancestors = {"/bin/sh", "/bin/sh"}; }) == key);
  CHECK(changed([](Identity& i) { i.processes[0].pid = 1; }) == key);
  CHECK(changed([](Identity& i) { i.processes[0].roles.pop_back(); }) == key);

  CHECK(changed([](Identity& i) { i.processes[0].uid = 0; }) != key);
  CHECK(changed([](Identity& i) { i.processes[0].container.reset(); }) != key);
  CHECK(changed([](Identity& i) { i.processes[0].binary = "/usr/bin/wget"; }) != key);

  const auto unnamed = [&](const std::string& path) {
    return changed([&](Identity& i) {
      i.processes[0].binary.reset();
      i.processes[0].path = path;
    });
  };
  CHECK(unnamed("/memfd:a") == unnamed("/memfd:b"));
  CHECK(unnamed("/memfd:a") != key);
}

TEST_CASE("a caller that nobody knows is counted by its address") {
  const auto from = [](std::array<std::uint8_t, 4> address) {
    return identity_key(identity::Identity{}, {net::IpAddress::v4(address), 1});
  };
  CHECK(from({10, 0, 0, 2}) != from({10, 0, 0, 3}));
  CHECK(from({127, 0, 0, 1}) == from({127, 1, 2, 3}));
}

TEST_CASE("lookups and abilities are counted under fixed words") {
  Metrics metrics;
  identity::Identity identity = known();
  identity.causes = {Cause::connector_unknown, Cause::references_uncounted};
  metrics.count_identity(identity);
  metrics.count_identity(identity);
  identity::Identity unresolved;
  unresolved.reason = identity::Reason::socket_not_found;
  metrics.count_identity(unresolved);
  metrics.set_abilities({{"sock_diag", true, {}, {}}, {"reference_count", false, "x", "y"}});
  const std::string text = metrics.serialize();
  const auto has = [&](const std::string& line) {
    return text.find(line + "\n") != std::string::npos;
  };
  CAPTURE(text);
  CHECK(has("warder_identity_lookups_total{assurance=\"proven\",grade=\"exact\",reason=\"\"} 2"));
  CHECK(
      has("warder_identity_lookups_total{assurance=\"observed\",grade=\"unresolved\","
          "reason=\"socket_not_found\"} 1"));
  CHECK(has("warder_identity_causes_total{cause=\"references_uncounted\"} 2"));
  CHECK(has("warder_identity_ability{name=\"sock_diag\"} 1"));
  CHECK(has("warder_identity_ability{name=\"reference_count\"} 0"));
}

}  // namespace warder::proxy
