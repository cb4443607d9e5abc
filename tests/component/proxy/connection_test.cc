#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
#include <memory>
#include <string_view>
#include <vector>

#include "net/socket.h"
#include "proxy/exchange_record.h"
#include "tests/component/proxy/gate_fixture.h"

namespace {

namespace proxy = warder::proxy;
namespace net = warder::net;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;
using warder::Errc;
using warder::testing::allow_decision;
using warder::testing::deny_decision;
using warder::testing::GateFixture;
using warder::testing::known_caller;

namespace identity = warder::identity;

TEST_CASE_METHOD(GateFixture, "an allowed CONNECT becomes a tunnel") {
  open_tunnel();
  net::UniqueFd far = accept_origin();
  REQUIRE(far);
  send("ping");
  std::string got;
  wait_for([&] {
    warder::testing::read_available(far.get(), got);
    return got == "ping";
  });
  far.reset();
  client.reset();
  wait_for([this] { return closed(); });
  REQUIRE(records.decisions.size() == 1);
  CHECK(records.decisions[0].code == "allowed");
  CHECK(records.decisions[0].subject.decision_id == "decision-1");
  REQUIRE(records.tunnels.size() == 1);
  CHECK(records.tunnels[0].bytes_up == 4);
  CHECK(records.tunnels[0].subject.request_id == records.decisions[0].subject.request_id);
}

TEST_CASE_METHOD(GateFixture, "a denied CONNECT gets 403, and nothing is opened") {
  config.explain = GENERATE(proxy::Explain::code, proxy::Explain::full);
  reach_decision("denied.example:443");
  warder::opa::Decision denial = deny_decision();
  denial.revision = "r7";
  opa.calls.answer(denial);
  const std::string answer = read_answer();
  CHECK_THAT(answer, StartsWith("HTTP/1.1 403 Forbidden (denied)\r\n"));
  // What the policy says may be about other programs.
  CHECK((answer.find("the test denies it") != std::string::npos) ==
        (config.explain == proxy::Explain::full));
  CHECK_THAT(answer, ContainsSubstring("/usr/bin/"));
  CHECK(records.decisions.back().reason == "the test denies it");
  CHECK_THAT(answer, ContainsSubstring("Warder-Decision-Id: decision-1"));
  CHECK(names.names.empty());
  CHECK(resolver.second.asked() == 0);
  REQUIRE(records.decisions.size() == 1);
  CHECK(records.decisions[0].verdict == proxy::Verdict::deny);
  CHECK(records.decisions[0].subject.binary == "/usr/bin/curl");
  CHECK(records.decisions[0].subject.pid == 4711);
  CHECK(revisions.seen == std::vector<std::optional<std::string>>{"r7"});
}

TEST_CASE_METHOD(GateFixture, "what OPA is asked is what the record says") {
  reach_decision("API.Example.com.:8443");
  REQUIRE(opa.queries.size() == 1);
  CHECK(opa.callers[0] == proxy::identity_key(known_caller(), {}));
  CHECK(opa.queries[0].host == "api.example.com");
  CHECK(opa.queries[0].port == 8443);
  CHECK(opa.queries[0].binary == "/usr/bin/curl");
  CHECK_THAT(opa.queries[0].request.traceparent,
             StartsWith("00-" + opa.queries[0].request_id + "-"));
  opa.calls.answer(deny_decision());
  static_cast<void>(read_answer());
  CHECK(records.decisions[0].subject.request_id == opa.queries[0].request_id);
  CHECK(records.decisions[0].subject.host == "api.example.com");
}

TEST_CASE_METHOD(GateFixture, "no decision is 503 with its own code, and nothing is opened") {
  const Errc code = GENERATE(Errc::opa_unreachable, Errc::opa_timeout, Errc::opa_refused,
                             Errc::opa_status, Errc::opa_not_json, Errc::opa_bad_answer,
                             Errc::opa_too_large, Errc::opa_truncated, Errc::opa_queue_full,
                             Errc::opa_breaker_open, Errc::opa_policy_error, Errc::opa_token);
  reach_decision("down.example:443");
  opa.calls.answer(warder::fail(code, "scripted"));
  CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 503 Service Unavailable (" +
                                       std::string(warder::code_name(code)) + ")\r\n"));
  CHECK(names.names.empty());
  CHECK(records.decisions.at(0).verdict == proxy::Verdict::error);
}

TEST_CASE_METHOD(GateFixture, "a program denied too often is held back, and OPA is not asked") {
  reach_decision("denied.example:443");
  opa.calls.answer(deny_decision());
  CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 403 Forbidden (denied)\r\n"));
  client.reset();
  wait_for([this] { return closed(); });
  SECTION("not while there is room for one more") {
    reach_decision("denied.example:443");
    CHECK(opa.calls.asked() == 2);
  }
  SECTION("but when that one is under way") {
    const auto other = denials.ask(proxy::identity_key(known_caller(), {}), "other",
                                   proxy::DenialLimit::Clock::now());
    begin();
    send("CONNECT denied.example:443 HTTP/1.0\r\n\r\n");
    wait_for([this] { return resolver.first.open() == 1; });
    resolver.first.answer(known_caller());
    CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 429 Too Many Requests (denial_rate)\r\n"));
    CHECK(opa.calls.asked() == 1);
  }
}

TEST_CASE_METHOD(GateFixture, "an undefined decision is a denial of its own kind") {
  reach_decision("undefined.example:443");
  warder::opa::Decision decision;
  decision.undefined = true;
  opa.calls.answer(decision);
  CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 403 Forbidden (policy_undefined)\r\n"));
}

TEST_CASE_METHOD(GateFixture, "a caller that changed before the opening gets no tunnel") {
  reach_decision(origin.at.text());
  opa.calls.answer(allow_decision());
  wait_for([this] { return resolver.second.open() == 1; });
  SECTION("by closing its end") {
    resolver.second.answer(identity::Change{"the socket has no owner", true, false});
  }
  SECTION("by becoming another program") {
    resolver.second.answer(identity::Change{"process 4711 runs another image", false, false});
    wait_for([this] { return resolver.first.open() == 1; });
    identity::Identity other = known_caller();
    other.processes.front().image = {1, 3};
    resolver.first.answer(other);
  }
  SECTION("into one that can't be found") {
    resolver.second.answer(identity::Change{"process 4711 let go of it", false, false});
    wait_for([this] { return resolver.first.open() == 1; });
    resolver.first.answer(identity::Identity{});
  }
  CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 403 Forbidden (client_raced)\r\n"));
  CHECK(opa.calls.asked() == 1);
  CHECK_FALSE(accept_origin());
}

TEST_CASE_METHOD(GateFixture, "a caller that has started a copy of itself is asked about again") {
  identity::Identity two = known_caller();
  two.processes.push_back(two.processes.front());
  two.processes.back().pid = 4712;
  two.grade = identity::Grade::shared;
  const auto change = [&] {
    opa.calls.answer(allow_decision());
    wait_for([this] { return resolver.second.open() == 1; });
    resolver.second.answer(identity::Change{"process 4712 holds the socket too now", false, false});
  };
  reach_decision(origin.at.text());
  change();
  wait_for([this] { return resolver.first.open() == 1; });
  resolver.first.answer(two);
  wait_for([this] { return opa.calls.open() == 1; });
  CHECK(opa.queries.back().identity.grade == "shared");
  CHECK(opa.queries.back().identity.processes.size() == 2);

  SECTION("and gets its tunnel") {
    opa.calls.answer(allow_decision());
    wait_for([this] { return resolver.second.open() == 1; });
    resolver.second.answer(std::nullopt);
    wait_for([this] { return !records.decisions.empty(); });
    CHECK(records.decisions.back().code == "allowed");
    CHECK(records.decisions.back().grade == "shared");
  }
  SECTION("but not for ever") {
    change();
    wait_for([this] { return resolver.first.open() == 1; });
    resolver.first.answer(two);
    wait_for([this] { return opa.calls.open() == 1; });
    change();
    CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 403 Forbidden (client_raced)\r\n"));
    CHECK(opa.calls.asked() == 3);
  }
}

TEST_CASE_METHOD(GateFixture, "a caller that is held back has not the answer it got before") {
  identity::Identity two = known_caller();
  two.processes.push_back(two.processes.front());
  two.processes.back().pid = 4712;
  reach_decision(origin.at.text());
  opa.calls.answer(allow_decision());
  wait_for([this] { return resolver.second.open() == 1; });
  resolver.second.answer(identity::Change{"process 4712 holds the socket too now", false, false});
  wait_for([this] { return resolver.first.open() == 1; });
  // Left without an answer, they count as denied; together, so that more is owed than comes back
  // while the machine stands still.
  std::vector<std::unique_ptr<proxy::DenialLimit::Question>> denied;
  for (const std::string_view question : {"one", "two", "three", "four", "five", "six"}) {
    denied.push_back(
        denials.ask(proxy::identity_key(two, {}), question, proxy::DenialLimit::Clock::now()));
  }
  denied.clear();
  resolver.first.answer(two);
  CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 429 Too Many Requests (denial_rate)\r\n"));
  CHECK_FALSE(records.decisions.back().subject.decision_id);
  CHECK_FALSE(records.decisions.back().policy);
  CHECK_FALSE(records.decisions.back().reused);
  CHECK_FALSE(accept_origin());
}

TEST_CASE_METHOD(GateFixture, "the caller of an open tunnel is looked at once more") {
  config.tunnels.identity_check = std::chrono::milliseconds(1);
  open_tunnel();
  wait_for([this] { return resolver.second.open() == 1; });
  SECTION("another one ends it") {
    resolver.second.answer(identity::Change{"process 4711 runs /usr/bin/other now", false, false});
    wait_for([this] { return closed(); });
    CHECK(records.tunnels.back().close_reason == "caller_changed");
    CHECK(records.diagnostics.back().event == "caller_changed");
  }
  SECTION("the same one goes on") {
    resolver.second.answer(std::nullopt);
    run_turns(5);
    CHECK_FALSE(closed());
  }
  SECTION("a look that failed is repeated") {
    const identity::Change failed{"no answer within 5000 ms", false, false, true};
    resolver.second.answer(failed);
    wait_for([this] { return resolver.second.open() == 1; });
    CHECK_FALSE(closed());
    SECTION("and may succeed") {
      resolver.second.answer(std::nullopt);
      run_turns(5);
      CHECK_FALSE(closed());
    }
    SECTION("and may find another one") {
      resolver.second.answer(
          identity::Change{"process 4711 runs /usr/bin/other now", false, false});
      wait_for([this] { return closed(); });
      CHECK(records.tunnels.back().close_reason == "caller_changed");
    }
    SECTION("a few times") {
      resolver.second.answer(failed);
      wait_for([this] { return resolver.second.open() == 1; });
      resolver.second.answer(failed);
      wait_for([this] { return closed(); });
      CHECK(records.tunnels.back().close_reason == "caller_unknown");
      CHECK(records.diagnostics.back().event == "caller_unknown");
    }
  }
  SECTION("a relay goes on when another program comes to it") {
    resolver.second.answer(identity::Change{"process 8 is behind it now", false, true});
    run_turns(5);
    CHECK_FALSE(closed());
  }
  SECTION("one that has closed its end is left to be drained") {
    resolver.second.answer(identity::Change{"the socket has no owner", true, false});
    run_turns(5);
    CHECK_FALSE(closed());
  }
  SECTION("one that ends first is not looked at") {
    client.reset();
    (void)accept_origin();
    wait_for([this] { return closed(); });
    CHECK(resolver.second.open() == 0);
  }
}

TEST_CASE_METHOD(GateFixture, "an address outside what policy allows is refused undialled") {
  reach_decision("inside.example:443");
  opa.calls.answer(allow_decision());
  wait_for([this] { return resolver.second.open() == 1; });
  resolver.second.answer(std::nullopt);
  wait_for([this] { return names.lookups.open() == 1; });
  CHECK(names.names == std::vector<std::string>{"inside.example"});
  names.lookups.answer(std::vector<net::IpAddress>{*net::IpAddress::parse("127.0.0.1"),
                                                   *net::IpAddress::parse("10.0.0.1")});
  CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 403 Forbidden (address_blocked)\r\n"));
  CHECK_FALSE(accept_origin());
}

TEST_CASE_METHOD(GateFixture, "a name that is not found is 502, a dead port too") {
  SECTION("name") {
    reach_decision("nowhere.example:443");
    opa.calls.answer(allow_decision());
    wait_for([this] { return resolver.second.open() == 1; });
    resolver.second.answer(std::nullopt);
    wait_for([this] { return names.lookups.open() == 1; });
    names.lookups.answer(warder::fail(Errc::name_not_found, "scripted"));
    CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 502 Bad Gateway (name_not_found)\r\n"));
  }
  SECTION("port") {
    reach_decision(warder::testing::closed_port().text());
    opa.calls.answer(allow_decision());
    wait_for([this] { return resolver.second.open() == 1; });
    resolver.second.answer(std::nullopt);
    CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 502 Bad Gateway (connection_refused)\r\n"));
  }
  CHECK(records.decisions.at(0).subject.decision_id == "decision-1");
}

TEST_CASE_METHOD(GateFixture, "bytes behind the head wait for the allow, and then arrive") {
  begin();
  const std::string early(100000, 'e');
  send("CONNECT " + origin.at.text() + " HTTP/1.0\r\n\r\n" + early.substr(0, 5000));
  wait_for([this] { return resolver.first.open() == 1; });
  resolver.first.answer(known_caller());
  wait_for([this] { return opa.calls.open() == 1; });
  send(early.substr(5000));
  run_turns(5);
  CHECK_FALSE(accept_origin());
  opa.calls.answer(allow_decision());
  wait_for([this] { return resolver.second.open() == 1; });
  resolver.second.answer(std::nullopt);
  net::UniqueFd far;
  std::string got;
  wait_for([&] {
    if (!far) far = accept_origin();
    if (far) warder::testing::read_available(far.get(), got);
    return got.size() >= early.size();
  });
  CHECK(got == early);
}

TEST_CASE_METHOD(GateFixture, "a client still writing behind a denied head reads its 403") {
  reach_decision("denied.example:443");
  opa.calls.answer(deny_decision());
  send(std::string(8 << 20, 'x'));
  CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 403 "));
}

TEST_CASE_METHOD(GateFixture, "requests that nothing can be made of are refused by name") {
  begin();
  const auto [request, line] = GENERATE(table<std::string, std::string>({
      {"GET http://a.example/%zz HTTP/1.1\r\nHost: a.example\r\n\r\n",
       "HTTP/1.1 400 Bad Request (bad_request)\r\n"},
      {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
       "HTTP/1.1 400 Bad Request (not_a_proxy_request)\r\n"},
      {"GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
       "HTTP/1.1 400 Bad Request (use_connect)\r\n"},
      {"CONNECT a.example HTTP/1.0\r\n\r\n", "HTTP/1.1 400 Bad Request (bad_authority)\r\n"},
      {"FOO http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
       "HTTP/1.1 501 Not Implemented (unknown_method)\r\n"},
  }));
  send(request);
  wait_for([this] { return resolver.first.open() == 1; });
  run_turns(5);
  CHECK(records.decisions.empty());
  resolver.first.answer(known_caller());
  CHECK_THAT(read_answer(), StartsWith(line));
  CHECK(records.decisions.at(0).subject.binary == "/usr/bin/curl");
  CHECK(opa.calls.asked() == 0);
}

TEST_CASE_METHOD(GateFixture, "a head that does not come in time gets 408") {
  config.timeouts.head = std::chrono::milliseconds(20);
  begin();
  send("CONNECT a.exam");
  wait_for([this] { return resolver.first.open() == 1; });
  resolver.first.answer(known_caller());
  CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 408 Request Timeout (head_timeout)\r\n"));
}

TEST_CASE_METHOD(GateFixture, "a client that leaves is forgotten in every state") {
  SECTION("before a head") {
    begin();
    client.reset();
    wait_for([this] { return closed(); });
    CHECK(records.decisions.empty());
    return;
  }
  reach_decision(origin.at.text());
  const bool answered = GENERATE(false, true);
  if (answered) {
    opa.calls.answer(allow_decision());
    wait_for([this] { return resolver.second.open() == 1; });
  }
  net::reset_on_close(client.get());
  client.reset();
  wait_for([this] { return closed(); });
  CHECK(opa.calls.open() + resolver.second.open() == 0);
  CHECK(records.decisions.at(0).code == "client_gone");
  // OPA was asked for nothing.
  CHECK(denied_once() == !answered);
}

TEST_CASE_METHOD(GateFixture, "shutdown ends a connection in every state") {
  SECTION("reading the head") { begin(); }
  SECTION("waiting for who it is") {
    begin();
    send("CONNECT a.example:1 HTTP/1.0\r\n\r\n");
    run_turns(5);
  }
  SECTION("deciding") { reach_decision("a.example:1"); }
  SECTION("looking again") {
    reach_decision("a.example:1");
    opa.calls.answer(allow_decision());
  }
  SECTION("resolving") {
    reach_decision("a.example:1");
    opa.calls.answer(allow_decision());
    resolver.second.answer(std::nullopt);
    wait_for([this] { return names.lookups.open() == 1; });
  }
  SECTION("tunnelling") { open_tunnel(); }
  const bool undecided = opa.calls.open() + resolver.second.open() + names.lookups.open() > 0;
  connection().end("shutdown");
  wait_for([this] { return closed(); });
  if (undecided) CHECK(records.decisions.at(0).code == "proxy_ended");
  CHECK(opa.calls.open() + resolver.first.open() + resolver.second.open() + names.lookups.open() ==
        0);
}

TEST_CASE_METHOD(GateFixture, "draining closes idle connections and answers begun heads") {
  SECTION("idle") {
    begin();
    connection().drain();
    CHECK(closed());
  }
  SECTION("begun") {
    begin();
    send("CONNECT a.ex");
    run_turns(3);
    connection().drain();
    resolver.first.answer(known_caller());
    CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 503 Service Unavailable (draining)\r\n"));
  }
  SECTION("deciding goes on") {
    reach_decision("denied.example:443");
    connection().drain();
    opa.calls.answer(deny_decision());
    CHECK_THAT(read_answer(), StartsWith("HTTP/1.1 403 "));
  }
}

}  // namespace
