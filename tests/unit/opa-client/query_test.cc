#include "opa-client/query.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

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

TEST_CASE("query: the whole document", "[opa]") {
  CHECK(to_json(full_query()) ==
        R"({"input":{"binary":"/usr/bin/curl","host":"api.example.com","port":443,)"
        R"("request_id":"r-1","ancestors":["/usr/bin/bash"],"sha256":"ab12",)"
        R"("request":{"kind":"connect","method":"CONNECT","scheme":null,"path":null,"query":null},)"
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

TEST_CASE("query: every key is there when nothing is known", "[opa]") {
  CHECK(to_json(Query{}) ==
        R"({"input":{"binary":null,"host":"","port":0,"request_id":"","ancestors":[],)"
        R"("sha256":null,"request":{"kind":"","method":"","scheme":null,"path":null,"query":null},)"
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

  CHECK(holds(json, R"({"input":{"binary":null,"binary_hex":"2f62696e2fff01","host":)"));
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

}  // namespace
}  // namespace warder::opa
