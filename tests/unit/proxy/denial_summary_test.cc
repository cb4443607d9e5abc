#include "proxy/denial_summary.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

namespace warder::proxy {
namespace {

using namespace std::chrono_literals;

DecisionRecord refusal(const std::string& host, const std::string& code = "denied") {
  DecisionRecord record;
  record.verdict = Verdict::deny;
  record.code = code;
  record.subject.host = host;
  record.subject.port = 443;
  record.subject.binary = "/usr/bin/wget";
  return record;
}

const DenialSummary::Clock::time_point kStart{1000s};

}  // namespace

TEST_CASE("the first few of a kind are told and the rest counted") {
  DenialSummary summary;
  for (int i = 0; i < 5; ++i) CHECK(summary.admit(refusal("a"), kStart));
  DecisionRecord last = refusal("a");
  last.subject.request_id = "r9";
  CHECK_FALSE(summary.admit(refusal("a"), kStart + 1s));
  CHECK_FALSE(summary.admit(last, kStart + 9s));
  CHECK(summary.expire(kStart + 9s).empty());
  const auto ended = summary.expire(kStart + 10s);
  REQUIRE(ended.size() == 1);
  CHECK(ended[0].count == 2);
  CHECK(ended[0].window == 10s);
  CHECK(ended[0].host == "a");
  CHECK(ended[0].port == 443);
  CHECK(ended[0].binary == "/usr/bin/wget");
  CHECK(ended[0].code == "denied");
  CHECK(ended[0].last_request_id == "r9");
  CHECK(summary.empty());
  CHECK(summary.admit(refusal("a"), kStart + 10s));
}

TEST_CASE("binary, host, port and code each make another kind") {
  DenialSummary summary;
  for (int i = 0; i < 6; ++i) (void)summary.admit(refusal("a"), kStart);
  CHECK_FALSE(summary.admit(refusal("a"), kStart));
  CHECK(summary.admit(refusal("b"), kStart));
  CHECK(summary.admit(refusal("a", "policy_undefined"), kStart));
  DecisionRecord other = refusal("a");
  other.subject.port = 80;
  CHECK(summary.admit(other, kStart));
  other = refusal("a");
  other.subject.binary.reset();
  CHECK(summary.admit(other, kStart));
}

TEST_CASE("revocations are always told") {
  DenialSummary summary;
  for (int i = 0; i < 200; ++i) CHECK(summary.admit(refusal("a", "revoked"), kStart));
  for (int i = 0; i < 200; ++i) CHECK(summary.admit(refusal("a", "undecidable"), kStart));
  CHECK(summary.flush(kStart).empty());
}

TEST_CASE("allows are always told") {
  DenialSummary summary;
  DecisionRecord allowed = refusal("a");
  allowed.verdict = Verdict::allow;
  for (int i = 0; i < 100; ++i) CHECK(summary.admit(allowed, kStart));
  CHECK(summary.empty());
}

TEST_CASE("few of a kind leave nothing to sum up") {
  DenialSummary summary;
  for (int i = 0; i < 5; ++i) CHECK(summary.admit(refusal("a"), kStart));
  CHECK(summary.expire(kStart + 10s).empty());
  CHECK(summary.empty());
}

TEST_CASE("the table is bounded, and nothing that OPA decided is hidden for it") {
  DenialSummary summary;
  for (std::size_t i = 0; i < DenialSummary::kMaxKinds; ++i) {
    CHECK(summary.admit(refusal(std::to_string(i)), kStart));
  }
  DecisionRecord decided = refusal("one too many");
  decided.subject.decision_id = "d";
  for (int i = 0; i < 20; ++i) {
    CHECK(summary.admit(decided, kStart));
    CHECK(summary.admit(refusal("one too many", "opa_timeout"), kStart));
  }
  (void)summary.expire(kStart + 10s);
  CHECK(summary.empty());
}

TEST_CASE("a table that is full doesn't let a flood through") {
  DenialSummary summary;
  std::uint64_t told = 0;
  const auto refuse = [&](const DecisionRecord& record) {
    if (summary.admit(record, kStart)) ++told;
  };
  for (int i = 0; i < 10'000; ++i) refuse(refusal(std::to_string(i), "use_connect"));
  CHECK(told == DenialSummary::kMaxKinds + DenialSummary::kToldOneByOne);
  for (int i = 0; i < 20'000; ++i) {
    const std::string code = i % 2 == 0 ? "use_connect" : "denial_rate";
    refuse(refusal("other " + std::to_string(i), code));
  }
  CHECK(told == DenialSummary::kMaxKinds + 2 * DenialSummary::kToldOneByOne);
  // With as many programs besides.
  for (int i = 0; i < 10'000; ++i) {
    DecisionRecord refused = refusal("a", "denial_rate");
    refused.subject.binary = std::to_string(i);
    refuse(refused);
  }
  CHECK(told < DenialSummary::kMaxWiderKinds + 4 * DenialSummary::kToldOneByOne);
  std::uint64_t counted = 0;
  const auto ended = summary.flush(kStart + 1s);
  CHECK(ended.size() < 10);
  for (const RepeatedDenial& repeated : ended) {
    CHECK_FALSE(repeated.host);
    counted += repeated.count;
  }
  CHECK(told + counted == 40'000);
}

TEST_CASE("a flush takes windows that have not ended") {
  DenialSummary summary;
  for (int i = 0; i < 8; ++i) (void)summary.admit(refusal("a"), kStart);
  const auto ended = summary.flush(kStart + 1s);
  REQUIRE(ended.size() == 1);
  CHECK(ended[0].count == 3);
  CHECK(ended[0].window == 1s);
}

}  // namespace warder::proxy
