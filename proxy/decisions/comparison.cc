#include "proxy/decisions/comparison.h"

#include <string_view>
#include <utility>

#include "proxy/decisions/filter.h"

namespace warder::decisions {
namespace {

// Numbers in the tables.
constexpr std::uint32_t kKnown = 1, kSeen = 2, kUnanswered = 4;

constexpr std::size_t kMostSums = 100'000;

// Whether OPA said yes, of an event, and of what a sum with decisions stands for: by docs/codes.md
// all that comes of a yes has other codes than these.
bool was_allowed(const Event& event) {
  if (event.kind == Event::Kind::record) {
    const std::string_view code = event.text(Field::code);
    return code != "denied" && code != "policy_undefined";
  }
  const std::string_view outcome = event.outcome();
  return outcome == "allow" || outcome == "audit";
}

// Of sums for which there was no room of their own.
std::string like_any(const Event& event) { return was_allowed(event) ? "allowed" : "denied"; }

std::string like(const Event& event) {
  std::string key = like_any(event);
  key.append(1, '\0').append(event.text(Field::binary));
  key.append(1, '\0').append(event.text(Field::host)).append(1, '\0');
  return key.append(event.at(Field::port).text);
}

bool is_decision(const Event& event) {
  return event.kind == Event::Kind::record && event.text(Field::event) == "decision";
}

// OPA was asked, and gave no decision (docs/codes.md).
bool had_no_answer(const Event& record) { return record.text(Field::code).starts_with("opa_"); }

}  // namespace

Comparison::Comparison(std::size_t most_ids, std::string path)
    : path_(std::move(path)), decisions_(most_ids), requests_(most_ids) {}

Comparison::Found Comparison::know(const Event& event) {
  if (event.kind != Event::Kind::record) return Found::nothing_new;
  if (is_decision(event)) return know_decision(event);
  const std::string_view kind = event.text(Field::event);
  if (kind == "repeated") know_sum(event);
  if (kind == "dropped") totals_.records_lost += event.number(Field::count).value_or(0);
  return Found::nothing_new;
}

Comparison::Found Comparison::know_decision(const Event& record) {
  const std::string_view decision = record.text(Field::decision_id);
  const std::string_view request = record.text(Field::request_id);
  std::uint32_t* asked = request.empty() ? nullptr : requests_.add(id_of(request));
  if (asked != nullptr) *asked |= kKnown;
  if (record.is_true(Field::reused)) {
    ++totals_.reused;
  } else if (!decision.empty()) {
    std::uint32_t* number = decisions_.add(id_of(decision));
    if (number == nullptr) return Found::no_room;
    if (*number != 0) ++totals_.recorded_twice;
    *number = kKnown;
  } else if (!had_no_answer(record)) {
    ++totals_.never_asked;
  } else if (asked != nullptr) {
    *asked |= kUnanswered;
  }
  return overfull() ? Found::no_room : Found::nothing_new;
}

void Comparison::know_sum(const Event& record) {
  // Those that OPA answered; of a kind all have the same code.
  if (record.text(Field::last_decision_id).empty()) return;
  std::string key = like(record);
  if (sums_.size() >= kMostSums && !sums_.contains(key)) key = like_any(record);
  sums_[key] += record.number(Field::count).value_or(0);
}

bool Comparison::covered_by_sum(const Event& event) {
  for (const std::string& key : {like(event), like_any(event)}) {
    const auto sum = sums_.find(key);
    if (sum == sums_.end() || sum->second == 0) continue;
    --sum->second;
    return true;
  }
  return false;
}

Comparison::Found Comparison::see(const Event& event) {
  const bool counts =
      event.kind == Event::Kind::decision && (path_ == "*" || event.decision_path() == path_);
  if (!counts) return Found::nothing_new;
  if (is_probe(event)) {
    ++totals_.probes;
    return Found::nothing_new;
  }
  std::uint32_t* number = decisions_.find(id_of(event.text(Field::decision_id)));
  if (number != nullptr) {
    ++((*number & kSeen) == 0 ? totals_.in_both : totals_.logged_twice);
    *number |= kSeen;
    return Found::nothing_new;
  }
  std::uint32_t* request = requests_.find(id_of(event.text(Field::request_id)));
  if (request != nullptr) {
    ++((*request & kUnanswered) == 0 ? totals_.asked_again : totals_.not_received);
    *request |= kSeen;
    return Found::nothing_new;
  }
  if (covered_by_sum(event)) {
    ++totals_.summed_up;
    return Found::nothing_new;
  }
  ++totals_.only_logged;
  return Found::only_here;
}

Comparison::Found Comparison::miss(const Event& event) {
  if (!is_decision(event) || event.is_true(Field::reused)) return Found::nothing_new;
  const std::string_view decision = event.text(Field::decision_id);
  if (decision.empty()) {
    const std::uint32_t* request = requests_.find(id_of(event.text(Field::request_id)));
    const bool unseen = request == nullptr || (*request & kSeen) == 0;
    if (had_no_answer(event) && unseen) ++totals_.unanswered;
    return Found::nothing_new;
  }
  std::uint32_t* number = decisions_.find(id_of(decision));
  if (number == nullptr || (*number & kSeen) != 0) return Found::nothing_new;
  *number |= kSeen;  // told once
  ++totals_.only_recorded;
  return Found::only_here;
}

const Comparison::Totals& Comparison::finish() {
  for (const auto& [key, left] : sums_) totals_.only_recorded_as_sums += left;
  sums_.clear();
  return totals_;
}

}  // namespace warder::decisions
