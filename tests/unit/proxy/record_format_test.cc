#include "proxy/record_format.h"

#include <rapidjson/document.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "proxy/metrics.h"

namespace warder::proxy {
namespace {

using namespace std::chrono_literals;

const Stamp kStamp{std::chrono::system_clock::time_point{1'795'761'000s + 123us}, 7};

DecisionRecord denial() {
  DecisionRecord record;
  record.subject.request_id = "r1";
  record.subject.client = {net::IpAddress::v4({10, 200, 0, 2}), 43210};
  record.subject.host = "api.example.com";
  record.subject.port = 443;
  record.subject.binary = "/usr/bin/wget";
  record.subject.pid = 469;
  record.subject.uid = 998;
  record.verdict = Verdict::deny;
  record.code = "denied";
  record.reason = "no endpoint matches";
  record.status = 403;
  record.opa_us = 81;
  return record;
}

rapidjson::Document parse(const std::string& line) {
  rapidjson::Document document;
  document.Parse<rapidjson::kParseValidateEncodingFlag>(line.data(), line.size() - 1);
  REQUIRE_FALSE(document.HasParseError());
  REQUIRE(document.IsObject());
  return document;
}

}  // namespace

TEST_CASE("a decision record has every agreed key, null where there is nothing") {
  const std::string line = format(kStamp, denial(), LogFormat::json);
  CHECK(std::count(line.begin(), line.end(), '\n') == 1);
  CHECK(line.back() == '\n');
  const auto json = parse(line);
  for (const char* key :
       {"ts",          "seq",        "level",     "event",  "decision",    "code",
        "reason",      "binary",     "pid",       "uid",    "host",        "port",
        "kind",        "scope",      "method",    "grade",  "causes",      "assurance",
        "decision_id", "request_id", "client",    "status", "identity_us", "opa_us",
        "connector",   "sha256",     "container", "relays", "via",         "reused"}) {
    CAPTURE(key);
    CHECK(json.HasMember(key));
  }
  CHECK(json["ts"].GetString() == rfc3339(kStamp.time));
  CHECK(json["seq"].GetUint64() == 7);
  CHECK(std::string(json["level"].GetString()) == "warn");
  CHECK(std::string(json["event"].GetString()) == "decision");
  CHECK(std::string(json["decision"].GetString()) == "deny");
  CHECK(std::string(json["client"].GetString()) == "10.200.0.2:43210");
  CHECK(std::string(json["kind"].GetString()) == "connect");
  CHECK(json["port"].GetInt() == 443);
  CHECK(json["pid"].GetInt() == 469);
  CHECK(json["uid"].GetUint() == 998);
  CHECK(json["opa_us"].GetInt() == 81);
  CHECK(json["identity_us"].IsNull());
  CHECK(json["decision_id"].IsNull());
  CHECK(json["scope"].IsNull());
  CHECK(json["causes"].IsArray());
}

TEST_CASE("the level of a decision") {
  DecisionRecord record = denial();
  CHECK(level_of(record) == LogLevel::warn);
  record.verdict = Verdict::allow;
  CHECK(level_of(record) == LogLevel::info);
  record.verdict = Verdict::error;
  CHECK(level_of(record) == LogLevel::error);
}

TEST_CASE("a uid above 2^31 stays positive") {
  DecisionRecord record = denial();
  record.subject.uid = 4294967294U;
  CHECK(parse(format(kStamp, record, LogFormat::json))["uid"].GetUint() == 4294967294U);
}

TEST_CASE("docs/records.md has every key and every metric") {
  std::ifstream file(WARDER_SOURCE_DIR "/docs/records.md");
  REQUIRE(file);
  std::ostringstream read;
  read << file.rdbuf();
  const std::string text = read.str();
  const auto explained = [&](const std::string& word) {
    return text.find("`" + word + "`") != std::string::npos;
  };
  for (const std::string& line : {format(kStamp, denial(), LogFormat::json),
                                  format(kStamp, TunnelRecord{}, LogFormat::json)}) {
    const auto json = parse(line);
    for (const auto& member : json.GetObject()) {
      CAPTURE(member.name.GetString());
      CHECK(explained(member.name.GetString()));
    }
  }
  Metrics metrics;
  metrics.count_decision(Verdict::deny, "denied");
  metrics.count_identity({});
  std::istringstream lines(metrics.serialize());
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string hash, kind, metric;
    words >> hash >> kind >> metric;
    if (kind != "TYPE") continue;
    CAPTURE(metric);
    CHECK(explained(metric));
  }
}

TEST_CASE("hostile bytes leave one line of ASCII") {
  DecisionRecord record = denial();
  record.subject.binary = "/tmp/a\n{\"event\":\"decision\"}\x1b[2J\xff\xe2\x80\xae";
  record.reason = std::string("nul\0byte", 8);
  record.causes = {"c\r\n"};
  for (const LogFormat form : {LogFormat::json, LogFormat::text}) {
    const std::string line = format(kStamp, record, form);
    CAPTURE(line);
    CHECK(line.find('\n') == line.size() - 1);
    CHECK(std::all_of(line.begin(), line.end() - 1, [](char c) { return c >= 0x20 && c < 0x7f; }));
  }
  const auto json = parse(format(kStamp, record, LogFormat::json));
  CHECK(std::string(json["binary"].GetString()) ==
        "/tmp/a\n{\"event\":\"decision\"}\x1b[2J\\xff\xe2\x80\xae");
}

TEST_CASE("overlong strings and lists are cut") {
  DecisionRecord record = denial();
  record.reason = std::string(1'000'000, 'r');
  record.holders.assign(1000, "/bin/x");
  CHECK(format(kStamp, record, LogFormat::json).size() < 10'000);
  CHECK(format(kStamp, record, LogFormat::text).size() < 10'000);
  const auto json = parse(format(kStamp, record, LogFormat::json));
  CHECK(json["holders"].Size() == 33);
  CHECK(std::string(json["holders"][32].GetString()) == "(968 more)");
}

TEST_CASE("a text line names what is there and can't be forged") {
  DecisionRecord record = denial();
  record.reason = "x\" decision=allow";
  const std::string line = format(kStamp, record, LogFormat::text);
  CHECK(line.find(" warn  decision seq=7 decision=deny code=denied ") != std::string::npos);
  CHECK(line.find("reason=\"x\\x22 decision=allow\"") != std::string::npos);
  CHECK(line.find("binary=/usr/bin/wget pid=469") != std::string::npos);
  CHECK(line.find("scope") == std::string::npos);
}

TEST_CASE("tunnel, diagnostic, repeated and dropped records") {
  TunnelRecord tunnel;
  tunnel.subject = denial().subject;
  tunnel.bytes_up = 18446744073709551615U;
  tunnel.duration_ms = 12;
  tunnel.closed_by = ClosedBy::origin;
  tunnel.close_reason = "end";
  const auto closed = parse(format(kStamp, tunnel, LogFormat::json));
  CHECK(std::string(closed["event"].GetString()) == "tunnel");
  CHECK(closed["bytes_up"].GetUint64() == 18446744073709551615U);
  CHECK(std::string(closed["closed_by"].GetString()) == "origin");
  CHECK(std::string(closed["request_id"].GetString()) == "r1");

  const Diagnostic started{LogLevel::info, "started", "listening", {{"listen", "127.0.0.1:1"}}};
  const auto told = parse(format(kStamp, started, LogFormat::json));
  CHECK(std::string(told["event"].GetString()) == "started");
  CHECK(std::string(told["listen"].GetString()) == "127.0.0.1:1");

  RepeatedDenial repeated;
  repeated.code = "denied";
  repeated.count = 95;
  const auto summed = parse(format(kStamp, repeated, LogFormat::json));
  CHECK(std::string(summed["event"].GetString()) == "repeated");
  CHECK(summed["count"].GetInt() == 95);
  CHECK(summed["binary"].IsNull());

  const auto dropped = parse(format(kStamp, Dropped{3}, LogFormat::json));
  CHECK(std::string(dropped["event"].GetString()) == "dropped");
  CHECK(dropped["count"].GetInt() == 3);
}

TEST_CASE("time is RFC 3339 in UTC with microseconds") {
  CHECK(rfc3339(std::chrono::system_clock::time_point{0s}) == "1970-01-01T00:00:00.000000Z");
  CHECK(rfc3339(std::chrono::system_clock::time_point{951'782'400s + 5us}) ==
        "2000-02-29T00:00:00.000005Z");
}

}  // namespace warder::proxy
