#include "proxy/decisions/comparison.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "sample.h"

namespace warder::decisions {
namespace {

using sample::EventLine;
using sample::RecordLine;
using Found = Comparison::Found;

struct Compared {
  Comparison::Totals totals;
  std::vector<std::string> only_recorded, only_logged;  // decision ids
};

Compared compare(const std::vector<std::string>& events, const std::vector<std::string>& records) {
  Comparison comparison(100, "egress/decision");
  EventReader reader;
  Compared compared;
  for (const std::string& line : records)
    CHECK(comparison.know(reader.read(line)) == Found::nothing_new);
  for (const std::string& line : events) {
    const Event& event = reader.read(line);
    if (comparison.see(event) == Found::only_here) {
      compared.only_logged.emplace_back(event.text(Field::decision_id));
    }
  }
  for (const std::string& line : records) {
    const Event& event = reader.read(line);
    if (comparison.miss(event) == Found::only_here) {
      compared.only_recorded.emplace_back(event.text(Field::decision_id));
    }
  }
  compared.totals = comparison.finish();
  return compared;
}

std::string event(const std::string& decision, const std::string& request) {
  return EventLine{.decision_id = decision, .request_id = request}.text();
}

std::string record(const std::string& decision, const std::string& request,
                   const std::string& code = "denied", const std::string& reused = "false") {
  const std::string id = decision.empty() ? "null" : '"' + decision + '"';
  return RecordLine{.decision_id = id, .request_id = request, .code = code, .reused = reused}
      .text();
}

std::string sum(const std::string& last, int count, const std::string& code = "denied") {
  return R"({"ts":"t","seq":9,"event":"repeated","decision":"deny","code":")" + code +
         R"(","count":)" + std::to_string(count) +
         R"(,"binary":"/usr/bin/python3.11","host":"api.example.com","port":443,)" +
         R"("last_decision_id":)" + last + R"(,"last_request_id":"r"})";
}

using Ids = std::vector<std::string>;

TEST_CASE("decisions: those that one log lacks") {
  const Compared found =
      compare({event("a", "1"), event("b", "2")}, {record("b", "2"), record("c", "3")});
  CHECK(found.only_logged == Ids{"a"});
  CHECK(found.only_recorded == Ids{"c"});
  CHECK(found.totals.in_both == 1);
  CHECK(found.totals.only_logged == 1);
  CHECK(found.totals.only_recorded == 1);
}

TEST_CASE("decisions: an answer given again is missing nowhere") {
  const Compared found =
      compare({event("a", "1")}, {record("a", "1"), record("a", "2", "allowed", "true")});
  CHECK(found.only_recorded.empty());
  CHECK(found.only_logged.empty());
  CHECK(found.totals.reused == 1);
  // The decision itself is lost, not that it was used again.
  const Compared lost = compare({}, {record("a", "1"), record("a", "2", "allowed", "true")});
  CHECK(lost.only_recorded == Ids{"a"});
}

TEST_CASE("decisions: requests that were never asked about, or got no answer") {
  const Compared found =
      compare({event("a", "2")}, {record("", "1", "bad_request"), record("", "2", "opa_timeout"),
                                  record("", "3", "opa_unreachable")});
  CHECK(found.only_recorded.empty());
  CHECK(found.only_logged.empty());
  CHECK(found.totals.never_asked == 1);
  CHECK(found.totals.not_received == 1);
  CHECK(found.totals.unanswered == 1);
}

TEST_CASE("decisions: a request that was asked about twice") {
  const Compared found = compare({event("a", "1"), event("b", "1")}, {record("b", "1")});
  CHECK(found.only_logged.empty());
  CHECK(found.totals.asked_again == 1);
}

TEST_CASE("decisions: refusals that are told as sums") {
  const Compared found = compare({event("a", "1"), event("b", "2"), event("c", "3")},
                                 {record("a", "1"), sum("\"c\"", 3)});
  CHECK(found.only_logged.empty());
  CHECK(found.totals.summed_up == 2);
  CHECK(found.totals.only_recorded_as_sums == 1);
  // Those that got no decision are not in OPA's log, and need not be.
  CHECK(compare({}, {sum("null", 3)}).totals.only_recorded_as_sums == 0);
  // A sum stands for its own program and destination only.
  const std::string other =
      EventLine{.decision_id = "d", .request_id = "4", .host = "x.org"}.text();
  CHECK(compare({other}, {sum("\"d2\"", 1)}).only_logged == Ids{"d"});
}

TEST_CASE("decisions: a sum stands for those of its own outcome") {
  const auto asked = [](const std::string& id, const std::string& allow) {
    return EventLine{.decision_id = id, .request_id = id, .allow = allow}.text();
  };
  std::string undefined = asked("u", "false");
  const std::size_t result = undefined.find(R"("result":)");
  undefined.erase(result, undefined.find(R"("timestamp")") - result);
  const std::vector<std::string> events{asked("n", "false"), asked("y", "true"), undefined};
  for (const char* code : {"denied", "policy_undefined"}) {
    CAPTURE(code);
    const Compared found = compare(events, {sum("\"x\"", 3, code)});
    CHECK(found.only_logged == Ids{"y"});
    CHECK(found.totals.summed_up == 2);
    CHECK(found.totals.only_recorded_as_sums == 1);
  }
  for (const char* code : {"address_blocked", "connection_refused", "name_not_found"}) {
    CAPTURE(code);
    const Compared found = compare(events, {sum("\"x\"", 3, code)});
    CHECK(found.only_logged == Ids{"n", "u"});
    CHECK(found.totals.summed_up == 1);
    CHECK(found.totals.only_recorded_as_sums == 2);
  }
  const Compared both = compare(events, {sum("\"x\"", 2), sum("\"x\"", 1, "address_blocked")});
  CHECK(both.only_logged.empty());
  CHECK(both.totals.only_recorded_as_sums == 0);
}

TEST_CASE("decisions: lines that stand there twice") {
  const Compared found =
      compare({event("a", "1"), event("a", "1")}, {record("a", "1"), record("a", "1")});
  CHECK(found.totals.in_both == 1);
  CHECK(found.totals.logged_twice == 1);
  CHECK(found.totals.recorded_twice == 1);
  const Compared lost = compare({}, {record("a", "1"), record("a", "1")});
  CHECK(lost.only_recorded == Ids{"a"});
}

TEST_CASE("decisions: questions of others don't count") {
  const std::string other = EventLine{.decision_id = "d", .request_id = "4", .path = "x"}.text();
  std::string probe = EventLine{.decision_id = "p", .host = "probe.invalid"}.text();
  probe.replace(probe.find(R"("reason":null)"), 13, R"("reason":"probe")");
  const Compared found = compare({other, probe}, {record("a", "1")});
  CHECK(found.only_logged.empty());
  CHECK(found.totals.probes == 1);
}

TEST_CASE("decisions: more records than may be kept in mind") {
  Comparison comparison(2, "*");
  EventReader reader;
  CHECK(comparison.know(reader.read(record("a", "1"))) == Found::nothing_new);
  CHECK(comparison.know(reader.read(record("b", "2"))) == Found::nothing_new);
  CHECK(comparison.know(reader.read(record("c", "3"))) == Found::no_room);
  CHECK(comparison.overfull());
}

TEST_CASE("decisions: ids of any form") {
  CHECK(id_of("9fd2a94a-6a1e-4dbe-8b4c-10b5d4f4e7a5") ==
        Id{0x9fd2a94a6a1e4dbe, 0x8b4c10b5d4f4e7a5});
  CHECK(id_of("0123456789abcdef0123456789abcdef") == Id{0x0123456789abcdef, 0x0123456789abcdef});
  CHECK(id_of("9FD2A94A-6a1e-4dbe-8b4c-10b5d4f4e7a5") !=
        id_of("9fd2a94a-6a1e-4dbe-8b4c-10b5d4f4e7a5"));
  CHECK(id_of("") != id_of("a"));
  IdTable table(10'000);
  for (std::uint32_t i = 1; i <= 10'000; ++i) *table.add(id_of(std::to_string(i))) = i;
  for (std::uint32_t i = 1; i <= 10'000; ++i) REQUIRE(*table.find(id_of(std::to_string(i))) == i);
  CHECK(table.find(id_of("0")) == nullptr);
  CHECK(table.add(id_of("0")) == nullptr);
  CHECK(table.overfull());
}

}  // namespace
}  // namespace warder::decisions
