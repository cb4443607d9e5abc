#include "proxy/tunnel_watch.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <chrono>

#include "tests/component/proxy/gate_fixture.h"

namespace warder::testing {
namespace {

using std::chrono::milliseconds;

opa::Decision of_revision(opa::Decision decision, const char* revision) {
  decision.revision = revision;
  decision.decision_id = std::string("decision-") + revision;
  return decision;
}

// An open tunnel, and what is asked about it.
struct TunnelWatchTest : GateFixture {
  // As far as OPA's second answer.
  void reach_second_question() {
    open_tunnel();
    wait_for([this] { return resolver.second.open() == 1; });
    resolver.second.answer(std::nullopt);
    wait_for([this] { return resolver.second.open() == 1; });
    resolver.second.answer(std::nullopt);
    wait_for([this] { return opa.calls.open() == 1; });
  }
  void open_until_first_look() {
    open_tunnel();
    wait_for([this] { return resolver.second.open() == 1; });
    resolver.second.answer(std::nullopt);
    run_turns(3);
  }
  bool counted(const std::string& outcome, int times) const {
    const std::string line =
        "warder_opa_questions_total{outcome=\"" + outcome + "\"} " + std::to_string(times) + "\n";
    return metrics.serialize().find(line) != std::string::npos;
  }
  // The question about a tunnel that carries what a forwarded request began.
  std::unique_ptr<proxy::TunnelWatch> watch_websocket(proxy::TunnelWatch::Listener& listener) {
    begin();
    proxy::OpenTunnel tunnel;
    tunnel.caller = known_caller();
    tunnel.request.kind = "forward";
    tunnel.decision = allow_decision();
    tunnel.origin = origin.at;
    auto watch = std::make_unique<proxy::TunnelWatch>(services(), listener, std::move(tunnel));
    confirm();
    confirm();
    wait_for([this] { return opa.calls.open() == 1; });
    return watch;
  }
  // The caller, in the turn of the tunnel.
  void confirm() {
    wait_for([this] { return resolver.second.open() == 1; });
    resolver.second.answer(std::nullopt);
  }
};

opa::Decision undefined_decision(const char* id) {
  opa::Decision undefined;
  undefined.undefined = true;
  undefined.decision_id = id;
  return undefined;
}

struct Waiting final : proxy::Reauthorizer::Tunnel {
  int turns = 0;
  void decide_again() override { ++turns; }
};

struct Revoked final : proxy::TunnelWatch::Listener {
  std::string code;
  void on_revoked(std::string why) override { code = std::move(why); }
};

}  // namespace

TEST_CASE_METHOD(TunnelWatchTest, "a WebSocket is closed when requests become limited") {
  config.tunnels.identity_check = milliseconds(1);
  config.tunnels.reauthorize = milliseconds(20);
  Revoked revoked;
  const auto watch = watch_websocket(revoked);
  opa::Decision decision = allow_decision();
  SECTION("limited") {
    decision.read_only = true;
    opa.calls.answer(decision);
    CHECK(revoked.code == "revoked");
    CHECK(records.decisions.back().verdict == proxy::Verdict::deny);
  }
  SECTION("not limited") {
    opa.calls.answer(decision);
    CHECK(revoked.code.empty());
    CHECK(records.decisions.back().code == "reauthorized");
  }
}

TEST_CASE_METHOD(TunnelWatchTest, "an open tunnel is decided again on an interval") {
  config.tunnels.identity_check = milliseconds(1);
  config.tunnels.reauthorize = milliseconds(20);
  reach_second_question();
  CHECK(opa.queries.back().request_id == opa.queries.front().request_id);
  CHECK(opa.queries.back().host == opa.queries.front().host);
  CHECK(opa.callers.back().empty());

  SECTION("and stays open while it is allowed") {
    opa.calls.answer(allow_decision());
    CHECK(records.decisions.back().code == "reauthorized");
    CHECK(records.decisions.back().subject.decision_id == "decision-1");
    CHECK(counted("allow", 2));
    confirm();
    wait_for([this] { return opa.calls.open() == 1; });
    CHECK_FALSE(closed());
  }
  SECTION("and is closed when it is denied") {
    opa::Decision denial = deny_decision();
    denial.decision_id = "decision-2";
    opa.calls.answer(denial);
    wait_for([this] { return closed(); });
    CHECK(records.decisions.back().code == "revoked");
    CHECK(records.decisions.back().verdict == proxy::Verdict::deny);
    CHECK(records.decisions.back().reason == "the test denies it");
    CHECK(records.decisions.back().subject.decision_id == "decision-2");
    CHECK(records.tunnels.back().close_reason == "revoked");
    CHECK(counted("allow", 1));
    CHECK(counted("deny", 1));
    CHECK(denied_once());
  }
  SECTION("and is closed when its origin's address is not allowed any more") {
    opa::Decision narrower = allow_decision();
    narrower.allowed_ips = {"10.0.0.0/8"};
    opa.calls.answer(narrower);
    wait_for([this] { return closed(); });
    CHECK(records.decisions.back().code == "revoked");
  }
  SECTION("and is closed when a ClientHello was due that nobody has read") {
    opa::Decision stricter = allow_decision();
    stricter.sni = "match";
    opa.calls.answer(stricter);
    wait_for([this] { return closed(); });
    CHECK(records.decisions.back().code == "revoked");
  }
  SECTION("and stays open when requests are limited, of which it carries none") {
    opa::Decision limited = allow_decision();
    limited.read_only = true;
    opa.calls.answer(limited);
    CHECK(records.decisions.back().code == "reauthorized");
    CHECK_FALSE(closed());
  }
  SECTION("and stays open without a decision, until there is one") {
    opa.calls.answer(fail({Errc::opa_timeout, 0, "no answer"}));
    CHECK(records.decisions.back().code == "opa_timeout");
    CHECK(counted("opa_timeout", 1));
    CHECK_FALSE(denied_once());
    CHECK(records.decisions.back().verdict == proxy::Verdict::error);
    CHECK(records.diagnostics.back().event == "reauthorize");
    confirm();
    wait_for([this] { return opa.calls.open() == 1; });
    CHECK_FALSE(closed());
    opa.calls.answer(deny_decision());
    wait_for([this] { return closed(); });
    CHECK(records.tunnels.back().close_reason == "revoked");
  }
}

TEST_CASE_METHOD(TunnelWatchTest,
                 "an open tunnel's caller is looked at before it is decided again") {
  config.tunnels.identity_check = milliseconds(1);
  config.tunnels.reauthorize = milliseconds(20);
  open_until_first_look();
  wait_for([this] { return resolver.second.open() == 1; });

  SECTION("another one closes it, and nobody is asked") {
    resolver.second.answer(identity::Change{"process 4711 runs /usr/bin/other now", false, false});
    wait_for([this] { return closed(); });
    CHECK(records.tunnels.back().close_reason == "caller_changed");
    CHECK(opa.calls.asked() == 1);
  }
  SECTION("a look that failed is repeated") {
    resolver.second.answer(identity::Change{"no answer", false, false, true});
    confirm();
    wait_for([this] { return opa.calls.open() == 1; });
    CHECK_FALSE(closed());
  }
  SECTION("for a relay the policy is told who is behind it now") {
    resolver.second.answer(identity::Change{"process 8 is behind it now", false, true});
    wait_for([this] { return resolver.first.open() == 1; });
    identity::Identity relaying = known_caller();
    relaying.relays = true;
    identity::Process behind = relaying.processes.front();
    behind.pid = 8;
    behind.path = "/usr/bin/behind";
    relaying.via = {behind};
    resolver.first.answer(relaying);
    wait_for([this] { return opa.calls.open() == 1; });
    REQUIRE(opa.queries.back().identity.via.size() == 1);
    CHECK(opa.queries.back().identity.via.front().path == "/usr/bin/behind");
  }
  SECTION("nobody is asked for one that has closed its end") {
    resolver.second.answer(identity::Change{"the socket has no owner", true, false});
    wait_for([this] { return resolver.second.open() == 1; });
    CHECK(opa.calls.asked() == 1);
    CHECK_FALSE(closed());
  }
}

TEST_CASE_METHOD(TunnelWatchTest, "another revision of the policy is a reason to ask at once") {
  config.tunnels.identity_check = milliseconds(1);
  config.tunnels.reauthorize = std::chrono::hours(1);

  SECTION("when it is seen") {
    open_until_first_look();
    reauthorizer.saw_revision("two");
    reauthorizer.names_read("two");
    confirm();
    wait_for([this] { return opa.calls.open() == 1; });
    SECTION("and the tunnel is not allowed in it") {
      opa.calls.answer(of_revision(deny_decision(), "two"));
      wait_for([this] { return closed(); });
      CHECK(records.tunnels.back().close_reason == "revoked");
    }
    SECTION("and again when it changes while that is asked") {
      reauthorizer.saw_revision("three");
      reauthorizer.names_read("three");
      opa.calls.answer(of_revision(allow_decision(), "two"));
      confirm();
      wait_for([this] { return opa.calls.open() == 1; });
      CHECK_FALSE(closed());
    }
  }
  SECTION("when it was seen while the tunnel was opened") {
    reach_decision(origin.at.text());
    opa.calls.answer(of_revision(allow_decision(), "one"));
    reauthorizer.saw_revision("two");
    reauthorizer.names_read("two");
    confirm();
    confirm();
    wait_for([this] { return opa.calls.open() == 1; });
    CHECK(opa.calls.asked() == 2);
  }
  SECTION("but not where tunnels are never decided again") {
    config.tunnels.reauthorize = milliseconds(0);
    open_until_first_look();
    reauthorizer.saw_revision("two");
    run_turns(5);
    CHECK(resolver.second.open() == 0);
    CHECK(opa.calls.asked() == 1);
  }
}

TEST_CASE_METHOD(TunnelWatchTest, "an undefined decision closes a tunnel if OPA has its policy") {
  config.tunnels.identity_check = milliseconds(1);
  config.tunnels.reauthorize = milliseconds(20);
  reach_second_question();
  reauthorizer.saw_revision("one");
  reauthorizer.names_read("one");
  opa.calls.answer(undefined_decision("decision-2"));
  REQUIRE(opa.reads.open() == 1);
  CHECK(opa.paths.back() == "/health?bundles");
  CHECK(opa.calls.open() == 0);
  CHECK(reuse.revision() == "one");

  SECTION("healthy, and undefined again") {
    opa.reads.answer(opa::Document{});
    REQUIRE(opa.calls.open() == 1);
    opa.calls.answer(undefined_decision("decision-3"));
    wait_for([this] { return closed(); });
    CHECK(records.decisions.back().code == "revoked");
    CHECK(records.decisions.back().subject.decision_id == "decision-3");
    CHECK(records.tunnels.back().close_reason == "revoked");
    CHECK(denied_once());
  }
  SECTION("healthy, because the policy came in between") {
    opa.reads.answer(opa::Document{});
    REQUIRE(opa.calls.open() == 1);
    opa.calls.answer(allow_decision());
    CHECK(records.decisions.back().code == "reauthorized");
    CHECK_FALSE(closed());
    CHECK_FALSE(denied_once());
  }
  SECTION("healthy, and gone again") {
    opa.reads.answer(opa::Document{});
    REQUIRE(opa.calls.open() == 1);
    opa.calls.answer(fail({Errc::opa_unreachable, 0, "gone"}));
    CHECK(records.decisions.back().code == "opa_unreachable");
    CHECK_FALSE(records.decisions.back().subject.decision_id);
    CHECK_FALSE(closed());
  }
  SECTION("not healthy: it stays open, and is asked about again") {
    opa.reads.answer(fail({Errc::opa_status, 0, "500"}));
    CHECK(records.decisions.back().code == "opa_status");
    CHECK(records.decisions.back().verdict == proxy::Verdict::error);
    CHECK(records.decisions.back().subject.decision_id == "decision-2");
    CHECK(records.diagnostics.back().event == "reauthorize");
    CHECK(records.diagnostics.back().level == proxy::LogLevel::error);
    CHECK_FALSE(denied_once());
    confirm();
    wait_for([this] { return opa.calls.open() == 1; });
    CHECK_FALSE(closed());
    CHECK(opa.reads.asked() == 1);
    opa.calls.answer(allow_decision());
    CHECK(records.decisions.back().code == "reauthorized");
  }
  SECTION("the tunnel ends first") {
    connection().end("test");
    run_turns(5);
    CHECK(opa.reads.open() == 0);
  }
}

TEST_CASE_METHOD(TunnelWatchTest, "answers that are no decision about one tunnel") {
  config.tunnels.identity_check = milliseconds(1);
  config.tunnels.reauthorize = milliseconds(20);
  reach_second_question();
  const auto told = [this] {
    return std::count_if(records.diagnostics.begin(), records.diagnostics.end(),
                         [](const auto& one) { return one.event == "reauthorize"; });
  };
  const auto asked_again = [this] {
    confirm();
    wait_for([this] { return opa.calls.open() == 1; });
    run_turns(3);
    return !closed();
  };

  SECTION("end it when it is the third that only this tunnel gets") {
    const Errc code =
        GENERATE(Errc::opa_refused, Errc::opa_not_json, Errc::opa_bad_answer, Errc::opa_too_large);
    for (int i = 0; i < 2; ++i) {
      opa.calls.answer(fail({code, 0, "scripted"}));
      CHECK(records.decisions.back().code == code_name(code));
      REQUIRE(asked_again());
    }
    opa.calls.answer(fail({code, 0, "scripted"}));
    wait_for([this] { return closed(); });
    CHECK(told() == 0);
    CHECK(records.tunnels.back().close_reason == "undecidable");
    CHECK(records.decisions.back().code == "undecidable");
    CHECK(records.decisions.back().verdict == proxy::Verdict::error);
    CHECK(records.decisions.back().reason ==
          "OPA has answered 3 times without a decision about this tunnel: " +
              std::string(code_name(code)) + ": scripted.");
  }
  SECTION("though there was no answer in between") {
    opa.calls.answer(fail({Errc::opa_refused, 0, "400"}));
    REQUIRE(asked_again());
    opa.calls.answer(fail({Errc::opa_timeout, 0, "late"}));
    REQUIRE(asked_again());
    opa.calls.answer(fail({Errc::opa_refused, 0, "400"}));
    REQUIRE(asked_again());
    opa.calls.answer(fail({Errc::opa_refused, 0, "400"}));
    wait_for([this] { return closed(); });
    CHECK(records.tunnels.back().close_reason == "undecidable");
  }
  SECTION("but not after a decision") {
    for (int i = 0; i < 5; ++i) {
      if (i == 2) {
        opa.calls.answer(allow_decision());
      } else {
        opa.calls.answer(fail({Errc::opa_refused, 0, "400"}));
      }
      REQUIRE(asked_again());
    }
  }
  SECTION("keep it open where the mistake is the policy's or the operator's") {
    const Errc code = GENERATE(Errc::opa_policy_error, Errc::opa_status);
    for (int i = 0; i < 5; ++i) {
      opa.calls.answer(fail({code, 0, "scripted"}));
      REQUIRE(asked_again());
    }
    opa.calls.answer(deny_decision());
    wait_for([this] { return closed(); });
    CHECK(records.tunnels.back().close_reason == "revoked");
  }
  SECTION("delay no other tunnel") {
    const Errc code = GENERATE(Errc::opa_policy_error, Errc::opa_refused);
    opa.calls.answer(fail({code, 0, "scripted"}));
    std::vector<Waiting> others(3);  // which leaves its place to the tunnel itself
    for (Waiting& other : others) {
      reauthorizer.enroll(other, std::nullopt);
      reauthorizer.due(other);
    }
    run_turns(5);
    CHECK(told() == 0);
    for (Waiting& other : others) {
      CHECK(other.turns == 1);
      reauthorizer.withdraw(other);
    }
  }
}

TEST_CASE_METHOD(GateFixture, "intervals differ by a tenth at most") {
  std::vector<milliseconds> all(1000);
  for (milliseconds& one : all) one = reauthorizer.jittered(milliseconds(1000));
  const auto [least, most] = std::minmax_element(all.begin(), all.end());
  CHECK(*least >= milliseconds(900));
  CHECK(*most <= milliseconds(1100));
  CHECK(*least < *most);
  CHECK(reauthorizer.jittered(milliseconds(9)) == milliseconds(9));
}

TEST_CASE_METHOD(GateFixture, "a new policy's names are waited for") {
  Waiting tunnel;
  reauthorizer.enroll(tunnel, std::nullopt);
  reauthorizer.due(tunnel);
  const auto turns_soon = [&] {
    run_turns(5);
    return tunnel.turns;
  };
  SECTION("unless they were read already") {
    reauthorizer.names_read("two");
    reauthorizer.saw_revision("two");
    CHECK(turns_soon() == 1);
  }
  SECTION("but not for long") {
    reauthorizer.saw_revision("two");
    CHECK(turns_soon() == 0);
    wait_for([&] { return tunnel.turns == 1; });
  }
  SECTION("nor again and again while two policies take turns") {
    bool two = false;
    wait_for([&] {
      reauthorizer.saw_revision((two = !two) ? "two" : "three");
      return tunnel.turns == 1;
    });
  }
  SECTION("and not once they are read, though another policy came and went") {
    reauthorizer.names_read("one");
    reauthorizer.saw_revision("two");
    reauthorizer.saw_revision("one");
    CHECK(turns_soon() == 0);
    reauthorizer.names_read("one");
    CHECK(turns_soon() == 1);
  }
  SECTION("until they are read for that policy") {
    reauthorizer.saw_revision("two");
    reauthorizer.names_read("one");
    CHECK(turns_soon() == 0);
    reauthorizer.names_read("two");
    CHECK(turns_soon() == 1);
  }
  SECTION("and for the next one's, when it changes meanwhile") {
    reauthorizer.saw_revision("two");
    reauthorizer.saw_revision("three");
    reauthorizer.names_read("two");
    CHECK(turns_soon() == 0);
    reauthorizer.names_read("three");
    CHECK(turns_soon() == 1);
  }
  reauthorizer.withdraw(tunnel);
}

TEST_CASE_METHOD(GateFixture, "only a few tunnels are decided again at once") {
  std::vector<Waiting> tunnels(10);
  const auto turns = [&] {
    int sum = 0;
    for (const Waiting& tunnel : tunnels) sum += tunnel.turns;
    return sum;
  };
  for (Waiting& tunnel : tunnels) reauthorizer.enroll(tunnel, std::nullopt);
  reauthorizer.names_read("two");
  reauthorizer.saw_revision("two");
  wait_for([&] { return turns() > 0; });
  const int at_once = turns();
  CHECK(at_once == 4);
  const auto first = [&] {
    for (Waiting& tunnel : tunnels) {
      if (tunnel.turns > 0) return &tunnel;
    }
    return &tunnels.front();
  };

  SECTION("the next ones when those are done") {
    for (Waiting& tunnel : tunnels) {
      if (tunnel.turns > 0) reauthorizer.answered(tunnel);
    }
    wait_for([&] { return turns() == 8; });
    CHECK(reauthorizer.waiting() == 2);
  }
  SECTION("the next one when one goes away in its turn") {
    reauthorizer.withdraw(*first());
    wait_for([&] { return turns() == 5; });
  }
  SECTION("none in the place of one that goes away while it waits") {
    for (Waiting& tunnel : tunnels) {
      if (tunnel.turns == 0) reauthorizer.withdraw(tunnel);
    }
    for (Waiting& tunnel : tunnels) reauthorizer.answered(tunnel);
    run_turns(5);
    CHECK(turns() == 4);
  }
  SECTION("one at a time, and told once, while there is no decision") {
    for (Waiting& tunnel : tunnels) {
      if (tunnel.turns > 0) reauthorizer.not_answered(tunnel, {Errc::opa_unreachable, 0, {}});
    }
    CHECK(records.diagnostics.size() == 1);
    wait_for([&] { return turns() == 5; });
    run_turns(5);
    CHECK(turns() == 5);
  }
  for (Waiting& tunnel : tunnels) reauthorizer.withdraw(tunnel);
}

}  // namespace warder::testing
