#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <optional>
#include <string>
#include <vector>

#include "client_fixture.h"

namespace warder::testing {
namespace {

using std::chrono::milliseconds;

TEST_CASE_METHOD(ClientFixture, "client: a question and its answer", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.path = "/v1/data/a/b"});
  server->on_request = [](Peer& peer) {
    peer.send(response(R"({"decision_id":"d-7","result":{"allow":false,"reason":"no"}})"));
  };
  opa::Query query;
  query.host = "api.example.com";
  query.binary = "/bin/\xFF";
  const auto asked = answer(query);
  REQUIRE(asked->result->has_value());
  const opa::Decision& decision = **asked->result;
  CHECK_FALSE(decision.allow);
  CHECK(decision.reason == "no");
  CHECK(decision.decision_id == "d-7");

  const std::string body = opa::to_json(query);
  REQUIRE(server->requests.size() == 1);
  CHECK(server->requests[0] ==
        "POST /v1/data/a/b HTTP/1.1\r\nHost: " + server->address().host_header +
            "\r\nUser-Agent: warder\r\nContent-Type: application/json\r\nContent-Length: " +
            std::to_string(body.size()) + "\r\n\r\n" + body);
}

TEST_CASE_METHOD(ClientFixture, "client: a document is read by GET", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket));
  server->on_request = [](Peer& peer) {
    peer.send(response(R"({"decision_id":"d-7","result":["/usr/bin/curl", "\u20ac"]})"));
  };
  const auto asked = read("/v1/data/egress/binaries");
  REQUIRE(asked->result->has_value());
  CHECK((*asked->result)->result == "[\"/usr/bin/curl\",\"\xE2\x82\xAC\"]");
  CHECK(server->requests.back() ==
        "GET /v1/data/egress/binaries HTTP/1.1\r\nHost: " + server->address().host_header +
            "\r\nUser-Agent: warder\r\n\r\n");

  server->on_request = [](Peer& peer) { peer.send(response("{}")); };
  const auto undefined = read("/health");
  REQUIRE(undefined->result->has_value());
  CHECK_FALSE((*undefined->result)->result);
  // On the connection of the questions.
  server->on_request = [](Peer& peer) { peer.send(response(kAllow)); };
  CHECK(answer()->allowed());
  CHECK(server->accepted == 1);
}

TEST_CASE_METHOD(ClientFixture, "client: a document that is none", "[opa]") {
  start(Kind::tcp, {.timeout = milliseconds(500), .max_answer_bytes = 64});
  std::string bytes;
  server->on_request = [&](Peer& peer) { peer.send(bytes); };
  const auto error_of = [&](std::string sent) {
    bytes = std::move(sent);
    return read("/v1/data/a")->error();
  };
  CHECK(error_of(response("[]")) == Errc::opa_bad_answer);
  CHECK(error_of(response(R"({"result":1)")) == Errc::opa_not_json);
  CHECK(error_of(response(R"({"result":1,"result":2})")) == Errc::opa_not_json);
  CHECK(error_of(response(R"({"result":1})", "500 Internal Server Error")) == Errc::opa_status);
  CHECK(error_of(response(R"({"result":")" + std::string(64, 'a') + "\"}")) == Errc::opa_too_large);
  CHECK(error_of("") == Errc::opa_timeout);
}

TEST_CASE_METHOD(ClientFixture, "a policy that can't be evaluated is told of, but not each time",
                 "[opa]") {
  std::vector<opa::ClientEvent> events;
  opa::ClientOptions options;
  options.on_event = [&](const opa::ClientEvent& event) { events.push_back(event); };
  start(Kind::tcp, options);
  std::string body = R"({"code":"internal_error"})";
  server->on_request = [&](Peer& peer) { peer.send(response(body, "500 Internal Server Error")); };
  CHECK(answer()->error() == Errc::opa_status);
  CHECK(events.empty());
  body = R"({"errors":[{"code":"eval_conflict_error"}]})";
  for (int i = 0; i < 3; ++i) CHECK(answer()->error() == Errc::opa_policy_error);
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == opa::ClientEvent::Kind::policy_error);
  CHECK(events[0].detail == "500: eval_conflict_error");
}

struct Row {
  std::string bytes;
  bool close = false;
  std::optional<Errc> error;  // none: allowed
};

std::string chunked(std::string_view body) {
  std::string bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const char c : body) bytes += std::string("1\r\n") + c + "\r\n";
  return bytes + "0\r\n\r\n";
}

std::vector<Row> rows() {
  const std::string allow(kAllow);
  const std::string ok = "HTTP/1.1 200 OK\r\n";
  return {
      {response(allow), false, std::nullopt},
      {chunked(allow), false, std::nullopt},
      {ok + "\r\n" + allow, true, std::nullopt},
      {ok + "Connection: close\r\n\r\n" + allow, true, std::nullopt},
      {"HTTP/1.0 200 OK\r\n\r\n" + allow, true, std::nullopt},
      {"HTTP/1.1 100 Continue\r\n\r\n" + response(allow), false, std::nullopt},
      {response("[]"), false, Errc::opa_bad_answer},
      {response(R"({"result":[{"allow":true}]})"), false, Errc::opa_bad_answer},
      {response(R"({"result":"true"})"), false, Errc::opa_bad_answer},
      {response("<html>"), false, Errc::opa_not_json},
      {response(""), false, Errc::opa_not_json},
      {response(allow + allow), false, Errc::opa_not_json},
      {response(R"({"result":false,"result":true})"), false, Errc::opa_not_json},
      {response(allow, "500 Internal Server Error"), false, Errc::opa_status},
      {response(allow, "404 Not Found"), false, Errc::opa_status},
      {response(allow, "201 Created"), false, Errc::opa_status},
      {response(allow, "302 Found", "Location: /\r\n"), false, Errc::opa_status},
      {"HTTP/1.1 204 No Content\r\n\r\n", false, Errc::opa_status},
      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", false,
       Errc::opa_status},
      {"garbage\r\n\r\n", false, Errc::opa_bad_answer},
      {"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", false, Errc::opa_bad_answer},
      {"", true, Errc::opa_truncated},
      {"HTTP/1.1 2", true, Errc::opa_truncated},
      {response(allow).substr(0, response(allow).size() - 1), true, Errc::opa_truncated},
      {chunked(allow).substr(0, chunked(allow).size() - 5), true, Errc::opa_truncated},
      {ok + "\r\n" + allow.substr(0, 12), true, Errc::opa_not_json},
  };
}

TEST_CASE_METHOD(ClientFixture, "client: every kind of answer, at once and byte by byte", "[opa]") {
  const auto kind = GENERATE(Kind::tcp, Kind::unix_socket);
  const bool slowly = GENERATE(false, true);
  start(kind);
  for (const Row& row : rows()) {
    INFO(row.bytes);
    server->on_request = [&](Peer& peer) {
      if (slowly && !row.bytes.empty()) {
        peer.send_slowly(row.bytes);
      } else {
        peer.send(row.bytes);
      }
      if (row.close) peer.close();
    };
    const std::size_t before = server->requests.size();
    // Each row on a fresh connection: none is retried.
    client =
        opa::make_client(loop(), {.address = server->address(), .timeout = milliseconds(5000)});
    const auto asked = answer();
    CHECK(asked->error() == row.error);
    CHECK(asked->allowed() == !row.error.has_value());
    CHECK(asked->answers == 1);
    CHECK(server->requests.size() == before + 1);
  }
}

TEST_CASE_METHOD(ClientFixture, "client: OPA's error document is in the explanation", "[opa]") {
  start(Kind::tcp);
  server->on_request = [](Peer& peer) {
    peer.send(response(R"({"code":"internal_error","message":"eval_conflict_error"})",
                       "500 Internal Server Error"));
  };
  CHECK(answer()->detail() == "500 internal_error: eval_conflict_error");
}

TEST_CASE_METHOD(ClientFixture, "client: an answer of 10 MB is not read", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.timeout = milliseconds(10000)});
  const std::string padding(10 << 20, ' ');
  const auto padded = [&](std::string_view head, std::string_view end = "") {
    return std::string("HTTP/1.1 200 OK\r\n").append(head).append(padding).append(end);
  };
  for (const std::string& bytes :
       {padded("Content-Length: 10485760\r\n\r\n"), padded("\r\n"),
        padded("Transfer-Encoding: chunked\r\n\r\nA00000\r\n", "\r\n0\r\n\r\n"),
        padded("X: ", "\r\n\r\n")}) {
    const int ended = server->ended;
    server->on_request = [&](Peer& peer) { peer.send(bytes); };
    CHECK(answer()->error() == Errc::opa_too_large);
    CHECK(run_until([&] { return server->ended == ended + 1; }));
  }
}

TEST_CASE_METHOD(ClientFixture, "client: a reset completes nothing", "[opa]") {
  start(Kind::tcp);
  server->on_request = [&](Peer& peer) {
    peer.send("HTTP/1.1 200 OK\r\n\r\n" + std::string(kAllow));
    Peer* const later = &peer;
    loop().post([later] { later->reset(); });
  };
  CHECK(answer()->error() == Errc::opa_truncated);
}

TEST_CASE_METHOD(ClientFixture, "client: a long question goes out in pieces", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.timeout = milliseconds(10000)});
  opa::Query query;
  query.ancestors.assign(1000, std::string(8000, 'a'));
  CHECK(answer(query)->allowed());
  CHECK(answer(query)->allowed());
  CHECK(server->accepted == 1);
  REQUIRE(server->requests.size() == 2);
  CHECK(server->requests[1].ends_with(opa::to_json(query)));
}

TEST_CASE_METHOD(ClientFixture, "client: an answer before the question is read counts", "[opa]") {
  start(GENERATE(Kind::tcp, Kind::unix_socket), {.timeout = milliseconds(10000)});
  server->on_accept = [](Peer& peer) {
    peer.send(response(R"({"code":"invalid_parameter","message":"request body too large"})",
                       "400 Bad Request"));
  };
  opa::Query query;
  query.ancestors.assign(1000, std::string(8000, 'a'));
  const auto asked = answer(query);
  CHECK(asked->error() == Errc::opa_refused);
  // The rest of the question would begin the next one.
  CHECK(run_until([&] { return server->ended == 1; }));
}

}  // namespace
}  // namespace warder::testing
