#include "opa-client/query.h"

#include <catch2/catch_test_macros.hpp>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "opa-client/json.h"

namespace warder::opa {
namespace {

bool holds(const std::string& json, const std::string& part) {
  return json.find(part) != std::string::npos;
}

Query full_query() {
  Query query;
  query.binary = "/usr/bin/curl";
  query.host = "api.example.com";
  query.port = 443;
  query.request_id = "r-1";
  query.ancestors = {"/usr/bin/bash"};
  query.sha256 = "ab12";
  query.request.kind = "connect";
  query.request.method = "CONNECT";
  query.client.address = "10.200.0.2";
  query.client.port = 43210;
  query.identity.grade = "exact";
  query.identity.assurance = "proven";
  query.identity.scope = "global";
  query.identity.method = "procfs";
  QueryProcess process;
  process.pid = 469;
  process.uid = 998;
  process.gid = 999;
  process.start_time = 81234;
  process.binary = "/usr/bin/curl";
  process.path = "/usr/bin/curl";
  process.names = {"/usr/bin/curl"};
  process.sha256 = "ab12";
  process.role = {"connector", "holder"};
  process.container = "4f5a";
  process.ancestors = {"/usr/bin/bash"};
  query.identity.processes.push_back(process);
  query.identity.relays = true;
  query.identity.via = {{470, 1000, std::nullopt, "/tmp/x"}};
  return query;
}

Query forward_query() {
  Query query = full_query();
  query.request = {"forward",         "GET", "http", "/a/b%2Fc", "/%61/b%2fc", "x=a", "x=%61",
                   {"encoded_slash"}, ""};
  return query;
}

TEST_CASE("query: the whole document", "[opa]") {
  CHECK(to_json(full_query()) ==
        R"({"input":{"host":"api.example.com","port":443,"request_id":"r-1",)"
        R"("request":{"kind":"connect","method":"CONNECT","scheme":null,"path":null,)"
        R"("path_raw":null,"query":null,"query_raw":null,"doubts":[]},)"
        R"("binary":"/usr/bin/curl","ancestors":["/usr/bin/bash"],"sha256":"ab12",)"
        R"("client":{"address":"10.200.0.2","port":43210},)"
        R"("identity":{"grade":"exact","assurance":"proven","causes":[],"reason":null,)"
        R"("detail":null,"scope":"global","method":"procfs","relays":true,"via":[)"
        R"({"pid":470,"uid":1000,"binary":null,"path":"/tmp/x"}],"via_complete":true,"processes":[)"
        R"({"pid":469,"uid":998,"gid":999,"start_time":81234,"binary":"/usr/bin/curl",)"
        R"("path":"/usr/bin/curl","names":["/usr/bin/curl"],"sha256":"ab12",)"
        R"("role":["connector","holder"],"deleted":false,"image_writable":false,"traced":false,)"
        R"("ancestors":["/usr/bin/bash"],"ancestors_complete":true,)"
        R"("container":"4f5a","pod":null,"command_line":null}]}}})");
}

TEST_CASE("query: a forwarded request", "[opa]") {
  CHECK(holds(to_json(forward_query()),
              R"("request":{"kind":"forward","method":"GET","scheme":"http","path":"/a/b%2Fc",)"
              R"("path_raw":"/%61/b%2fc","query":"x=a","query_raw":"x=%61",)"
              R"("doubts":["encoded_slash"]})"));
}

TEST_CASE("query: every key is there when nothing is known", "[opa]") {
  CHECK(to_json(Query{}) ==
        R"({"input":{"host":"","port":0,"request_id":"",)"
        R"("request":{"kind":"","method":"","scheme":null,"path":null,"path_raw":null,)"
        R"("query":null,"query_raw":null,"doubts":[]},)"
        R"("binary":null,"ancestors":[],"sha256":null,)"
        R"("client":{"address":"","port":0},"identity":{"grade":"","assurance":"","causes":[],)"
        R"("reason":null,"detail":null,"scope":null,"method":null,"relays":false,"via":[],)"
        R"("via_complete":true,"processes":[]}}})");
}

TEST_CASE("query: bytes that are not UTF-8 go out as null and hexadecimal", "[opa]") {
  Query query = full_query();
  query.binary = "/bin/\xFF\x01";
  query.ancestors = {"/bin/sh", "/\xE9", "/bin/init"};
  query.identity.detail = "\xC3\x28";
  QueryProcess& process = query.identity.processes.front();
  process.path = "/bin/\xFF\x01";
  process.binary.reset();
  process.names = {"/\x80"};
  const std::string json = to_json(query);

  CHECK(holds(json, R"("binary":null,"binary_hex":"2f62696e2fff01","ancestors":)"));
  CHECK(holds(json,
              R"("ancestors":["/bin/sh",null,"/bin/init"],"ancestors_hex":[null,"2fe9",null])"));
  CHECK(holds(json, R"("detail":null,"detail_hex":"c328")"));
  CHECK(holds(json, R"("binary":null,"path":null,"path_hex":"2f62696e2fff01")"));
  CHECK(holds(json, R"("names":[null],"names_hex":["2f80"])"));
  CHECK(parse_json(json));
}

TEST_CASE("query: different bytes never look equal", "[opa]") {
  Query one = full_query();
  Query other = full_query();
  one.binary = "/bin/\xFE";
  other.binary = "/bin/\xFF";
  CHECK(to_json(one) != to_json(other));
  one.binary = "/bin/\xEF\xBF\xBD";  // U+FFFD itself
  CHECK(to_json(one) != to_json(other));
  CHECK(holds(to_json(one), R"("binary":"/bin/\uFFFD")"));
}

TEST_CASE("query: the document is ASCII whatever goes in", "[opa]") {
  std::string all;
  for (int c = 1; c < 128; ++c) all += static_cast<char>(c);
  all += std::string(1, '\0') + "\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
  Query query = full_query();
  query.binary = all;
  query.host = "\",\"allow\":true,\"x\":\"";
  const std::string json = to_json(query);
  for (const char c : json) {
    const auto byte = static_cast<unsigned char>(c);
    const bool ascii = byte >= ' ' && byte < 128;
    REQUIRE(ascii);
  }
  CHECK(holds(json, R"(\u00E9\u20AC\uD83D\uDE00)"));
  const auto document = parse_json(json);
  REQUIRE(document);
  const auto& input = (*document)["input"];
  CHECK(std::string(input["binary"].GetString(), input["binary"].GetStringLength()) == all);
  CHECK(std::string(input["host"].GetString()) == query.host);
  CHECK_FALSE(input.HasMember("allow"));
}

TEST_CASE("query: large numbers are exact", "[opa]") {
  Query query = full_query();
  query.identity.processes.front().start_time = 18446744073709551615ULL;
  query.identity.processes.front().uid = 4294967294;
  CHECK(holds(to_json(query), R"("uid":4294967294,"gid":999,"start_time":18446744073709551615)"));
}

using Change = std::function<void(Query&)>;

Query changed(const Change& change) {
  Query query = forward_query();
  change(query);
  return query;
}

const std::vector<Change>& changes_of_the_request() {
  static const std::vector<Change> kChanges{
      [](Query& q) { q.host = "api.example.org"; },
      [](Query& q) { q.port = 80; },
      [](Query& q) { q.request.kind = "connect"; },
      [](Query& q) { q.request.method = "POST"; },
      [](Query& q) { q.request.scheme = "https"; },
      [](Query& q) { q.request.path = "/a/b%2Fd"; },
      [](Query& q) { q.request.path_raw = "/a/b%2Fc"; },
      [](Query& q) { q.request.query.reset(); },
      [](Query& q) { q.request.query = ""; },
      [](Query& q) { q.request.query_raw = "x=a"; },
      [](Query& q) { q.request.doubts.clear(); },
      // The same bytes in another place.
      [](Query& q) {
        q.request.path = "/a/b%2F";
        q.request.path_raw = "c/%61/b%2fc";
      },
  };
  return kChanges;
}

const std::vector<Change>& changes_of_the_caller() {
  static const std::vector<Change> kChanges{
      [](Query& q) { q.binary.reset(); },
      [](Query& q) { q.binary = "/usr/bin/wget"; },
      [](Query& q) { q.ancestors.clear(); },
      [](Query& q) {
        q.ancestors = {"/usr/bin/", "bash"};
      },
      [](Query& q) { q.sha256 = "ab13"; },
      [](Query& q) { q.client.address = "10.200.0.3"; },
      [](Query& q) { q.identity.grade = "shared"; },
      [](Query& q) { q.identity.assurance = "observed"; },
      [](Query& q) { q.identity.causes = {"traced"}; },
      [](Query& q) { q.identity.reason = ""; },
      [](Query& q) { q.identity.scope = "pid:7"; },
      [](Query& q) { q.identity.method = "bpf"; },
      [](Query& q) { q.identity.relays = false; },
      [](Query& q) { q.identity.via_complete = false; },
      [](Query& q) { q.identity.via.clear(); },
      [](Query& q) { q.identity.via[0].uid = 0; },
      [](Query& q) { q.identity.via[0].binary = "/tmp/x"; },
      [](Query& q) { q.identity.via[0].path = "/tmp/y"; },
      [](Query& q) { q.identity.processes.push_back(q.identity.processes[0]); },
      [](Query& q) { q.identity.processes[0].uid = 0; },
      [](Query& q) { q.identity.processes[0].gid = 0; },
      [](Query& q) { q.identity.processes[0].binary.reset(); },
      [](Query& q) { q.identity.processes[0].path = "/tmp/curl"; },
      [](Query& q) { q.identity.processes[0].names.emplace_back("/bin/curl"); },
      [](Query& q) { q.identity.processes[0].sha256.reset(); },
      [](Query& q) { q.identity.processes[0].role = {"holder"}; },
      [](Query& q) { q.identity.processes[0].deleted = true; },
      [](Query& q) { q.identity.processes[0].image_writable = true; },
      [](Query& q) { q.identity.processes[0].traced = true; },
      [](Query& q) { q.identity.processes[0].ancestors.clear(); },
      [](Query& q) { q.identity.processes[0].ancestors_complete = false; },
      [](Query& q) { q.identity.processes[0].container = "4f5b"; },
      [](Query& q) { q.identity.processes[0].pod = "p"; },
      [](Query& q) { q.identity.processes[0].command_line = "curl"; },
  };
  return kChanges;
}

TEST_CASE("query: keys differ in all that counts", "[opa]") {
  const Query query = forward_query();
  std::set<std::string> reuse{reuse_key(query)};
  for (const Change& change : changes_of_the_request()) {
    CHECK(reuse.insert(reuse_key(changed(change))).second);
    CHECK(caller_key(changed(change)) == caller_key(query));
  }
  std::set<std::string> callers{caller_key(query)};
  for (const Change& change : changes_of_the_caller()) {
    CHECK(reuse.insert(reuse_key(changed(change))).second);
    CHECK(callers.insert(caller_key(changed(change))).second);
  }
}

TEST_CASE("query: one program asking again has the same keys", "[opa]") {
  const Query query = forward_query();
  const std::vector<Change> passing{
      [](Query& q) { q.request_id = "r-2"; },
      [](Query& q) { q.client.port = 43211; },
      [](Query& q) { q.identity.detail = "global: 12 rows"; },
      [](Query& q) { q.identity.via[0].pid = 1; },
      [](Query& q) { q.identity.processes[0].pid = 1; },
      [](Query& q) { q.identity.processes[0].start_time = 1; },
  };
  for (const Change& change : passing) {
    CHECK(reuse_key(changed(change)) == reuse_key(query));
    CHECK(caller_key(changed(change)) == caller_key(query));
    CHECK(to_json(changed(change)) != to_json(query));
  }
}

}  // namespace
}  // namespace warder::opa
