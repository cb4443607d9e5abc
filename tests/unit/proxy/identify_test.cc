#include "proxy/identify.h"

#include <rapidjson/document.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <string>

namespace warder::proxy {
namespace {

using namespace std::chrono_literals;

const std::string kHostile = "/tmp/a\x1b[2J\nb\xff";

IdentifyReport hostile_report() {
  IdentifyReport report;
  report.connection = {{net::IpAddress::v4({10, 0, 0, 2}), 43210},
                       {net::IpAddress::v4({10, 0, 0, 1}), 3128},
                       std::nullopt};
  report.took = 123us;
  report.steps = {{12us, "facts: " + kHostile}};
  identity::Process process;
  process.pid = 469;
  process.path = kHostile;
  process.sha256_missing = kHostile;
  process.container = kHostile;
  process.pod = kHostile;
  process.command_line = kHostile;
  process.ancestors = {kHostile};
  process.ancestors_complete = false;
  process.traced = true;
  process.roles = {identity::Role::connector, identity::Role::holder};
  report.identity.processes = {process};
  report.identity.grade = identity::Grade::exact;
  report.identity.causes = {identity::Cause::traced};
  report.identity.relays = true;
  report.identity.via_complete = false;
  report.identity.via = {process};
  report.identity.detail = kHostile;
  return report;
}

}  // namespace

TEST_CASE("what is shown of an identity is printable, each fact on a line of its own") {
  const std::string text = as_text(hostile_report());
  CAPTURE(text);
  CHECK(std::all_of(text.begin(), text.end(),
                    [](char c) { return c == '\n' || (c >= 0x20 && c < 0x7f); }));
  for (const char* line :
       {"      12 us  facts: /tmp/a\\x1b[2J\\x0ab\\xff\n", "     123 us  in all\n",
        "\nprocess       469 uid 0 gid 0, connector, holder\n", "\ngrade         exact\n",
        "\nbinary        none that can be trusted\n", "\n  note        it is traced\n",
        "\nrelays        for other programs, not all found\n", "\ncauses        traced\n",
        "\n  started by  /tmp/a\\x1b[2J\\x0ab\\xff, ...\n"}) {
    CAPTURE(line);
    CHECK(text.find(line) != std::string::npos);
  }
}

TEST_CASE("an identity in JSON has its steps and the document OPA would get") {
  const std::string text = as_json(hostile_report());
  CAPTURE(text);
  CHECK(text.find('\n') == text.size() - 1);
  CHECK(std::all_of(text.begin(), text.end() - 1, [](char c) { return c >= 0x20 && c < 0x7f; }));
  rapidjson::Document json;
  json.Parse(text.c_str());
  REQUIRE_FALSE(json.HasParseError());
  CHECK(std::string(json["client"].GetString()) == "10.0.0.2:43210");
  CHECK(std::string(json["proxy"].GetString()) == "10.0.0.1:3128");
  CHECK(json["took_us"].GetInt() == 123);
  CHECK(json["steps"][0]["us"].GetInt() == 12);
  CHECK(json["input"]["identity"]["processes"][0]["pid"].GetInt() == 469);
  CHECK(json["input"]["binary"].IsNull());
}

}  // namespace warder::proxy
