#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "proxy/decisions/instant.h"
#include "proxy/decisions/json_out.h"
#include "proxy/decisions/options.h"
#include "proxy/decisions/tally.h"
#include "proxy/text_escape.h"

namespace warder::decisions {
namespace {

constexpr std::size_t kMostDistinct = 1000;
constexpr std::array<std::string_view, 5> kOutcomes{"allow", "audit", "deny", "undefined", "error"};

struct Timer {
  std::string_view name;
  Field field;
  Latencies latencies;
};

class Totals final : public ItemSink {
 public:
  explicit Totals(const Filter& filter) : filter_(filter) {}

  bool on_item(const Item& item) override {
    const Event& event = item.event;
    if (event.kind == Event::Kind::record) {
      add_record(event);
    } else if (filter_.matches(event)) {
      add_decision(event);
    }
    return true;
  }

  [[nodiscard]] std::string as_text() const;
  [[nodiscard]] std::string as_json() const;

 private:
  void add_decision(const Event& event) {
    ++total_;
    const auto outcome = std::find(kOutcomes.begin(), kOutcomes.end(), event.outcome());
    if (outcome != kOutcomes.end()) {
      ++outcomes_[static_cast<std::size_t>(outcome - kOutcomes.begin())];
    }
    if (const auto time = event.time()) {
      first_ = std::min(first_.value_or(*time), *time);
      last_ = std::max(last_.value_or(*time), *time);
    }
    for (Timer& timer : timers_) {
      if (const auto took = event.number(timer.field)) timer.latencies.add(*took);
    }
    policies_.add(event.text(Field::policy).empty() ? "-" : event.text(Field::policy));
    revisions_.add(event.revision().empty() ? "-" : event.revision());
  }

  void add_record(const Event& record) {
    const std::string_view kind = record.text(Field::event);
    if (kind == "decision" && filter_.matches(record)) {
      ++records_;
      codes_.add(record.text(Field::code));
      if (record.is_true(Field::reused)) ++reused_;
    } else if (kind == "repeated" && filter_.matches(record)) {
      const std::uint64_t count = record.number(Field::count).value_or(0);
      summed_up_ += count;
      codes_.add(record.text(Field::code), count);
    } else if (kind == "dropped") {
      dropped_ += record.number(Field::count).value_or(0);
    }
  }

  const Filter& filter_;
  std::uint64_t total_ = 0;
  std::array<std::uint64_t, kOutcomes.size()> outcomes_{};
  std::optional<std::int64_t> first_, last_;
  std::array<Timer, 3> timers_{Timer{"handler", Field::handler_ns, {}},
                               Timer{"evaluation", Field::eval_ns, {}},
                               Timer{"input", Field::parse_ns, {}}};
  Tally policies_{kMostDistinct}, revisions_{kMostDistinct}, codes_{kMostDistinct};
  std::uint64_t records_ = 0, reused_ = 0, summed_up_ = 0, dropped_ = 0;
};

void append_tally(std::string& out, std::string_view title, const Tally& tally) {
  if (tally.size() == 0) return;
  out += fmt::format("{}\n", title);
  for (const Tally::Count& found : tally.top(20)) {
    out += fmt::format("  {:>10}  {}\n", found.count, proxy::visible(found.text));
  }
  if (tally.size() > 20) out += fmt::format("  {} more\n", tally.size() - 20);
}

void add_tally(JsonOut& out, std::string_view title, const Tally& tally) {
  out.open(title);
  for (const Tally::Count& found : tally.top(kMostDistinct)) {
    out.add(proxy::visible(found.text), found.count);
  }
  out.close();
}

std::string Totals::as_text() const {
  std::string out = fmt::format("decisions {:>12}\n", total_);
  for (std::size_t i = 0; i < kOutcomes.size(); ++i) {
    out += fmt::format("  {:<10}{:>10}\n", kOutcomes[i], outcomes_[i]);
  }
  if (first_)
    out += fmt::format("from  {}\nuntil {}\n", show_instant(*first_), show_instant(*last_));
  for (const Timer& timer : timers_) {
    if (timer.latencies.count() == 0) continue;
    out += fmt::format(
        "{:<11} p50 {}, p90 {}, p99 {}, most {}\n", timer.name,
        show_duration(timer.latencies.quantile(0.5)), show_duration(timer.latencies.quantile(0.9)),
        show_duration(timer.latencies.quantile(0.99)), show_duration(timer.latencies.greatest()));
  }
  append_tally(out, "policies", policies_);
  append_tally(out, "revisions", revisions_);
  if (records_ + summed_up_ + dropped_ == 0) return out;
  out +=
      fmt::format("records   {:>12}\n  reused    {:>10}\n  summed up {:>10}\n  lost      {:>10}\n",
                  records_, reused_, summed_up_, dropped_);
  append_tally(out, "codes", codes_);
  return out;
}

std::string Totals::as_json() const {
  JsonOut out;
  out.add("decisions", total_);
  for (std::size_t i = 0; i < kOutcomes.size(); ++i) out.add(kOutcomes[i], outcomes_[i]);
  if (first_) {
    out.add("from", show_instant(*first_));
    out.add("until", show_instant(*last_));
  }
  for (const Timer& timer : timers_) {
    out.open(std::string(timer.name) + "_ns");
    out.add("count", timer.latencies.count());
    out.add("p50", timer.latencies.quantile(0.5));
    out.add("p90", timer.latencies.quantile(0.9));
    out.add("p99", timer.latencies.quantile(0.99));
    out.add("most", timer.latencies.greatest());
    out.close();
  }
  add_tally(out, "policies", policies_);
  add_tally(out, "revisions", revisions_);
  out.open("records");
  out.add("decisions", records_);
  out.add("reused", reused_);
  out.add("summed_up", summed_up_);
  out.add("lost", dropped_);
  out.close();
  add_tally(out, "codes", codes_);
  return out.finish() + '\n';
}

}  // namespace

int run_stats(const Options& options) {
  Totals totals(options.filter);
  LineCounts log_counts;
  const auto logs = scan(logs_of(options), Prefilter(options.filter), log_counts, totals);
  if (!logs) return complain(logs.error());
  LineCounts record_counts;
  const auto records = scan(records_of(options), Prefilter(), record_counts, totals);
  if (!records) return complain(records.error());
  fmt::print("{}", options.form == Form::json ? totals.as_json() : totals.as_text());
  tell_summary("log", log_counts);
  if (!options.records.empty()) tell_summary("records", record_counts);
  return 0;
}

}  // namespace warder::decisions
