#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/decisions/cells.h"
#include "proxy/decisions/comparison.h"
#include "proxy/decisions/instant.h"
#include "proxy/decisions/json_out.h"
#include "proxy/decisions/options.h"

namespace warder::decisions {
namespace {

constexpr std::size_t kOnlyInWidth = 12;

// Rows of decisions that one log has and the other has not.
class Differences {
 public:
  explicit Differences(Form form) : form_(form) {}

  void heading() const {
    if (form_ == Form::csv) {
      fmt::print("only_in,time,decision_id,request_id,outcome,code,binary,host,port\r\n");
    } else if (form_ == Form::table) {
      fmt::print("{} {} {:36} {:32} {} {} DESTINATION\n", cell("ONLY IN", kOnlyInWidth),
                 cell("TIME", kTimeWidth), "DECISION", "REQUEST", cell("OUTCOME", kOutcomeWidth),
                 cell("BINARY", kBinaryWidth));
    }
  }

  void write(const Item& item) const {
    const Event& event = item.event;
    const bool record = event.kind == Event::Kind::record;
    const std::string_view only_in = record ? "records" : "opa_log";
    if (form_ == Form::json) {
      JsonOut out;
      out.add("only_in", only_in);
      out.add_json(record ? "record" : "event", item.text);
      fmt::print("{}\n", out.finish());
      return;
    }
    const auto time = event.time();
    const std::string when = time ? show_instant(*time) : "";
    const auto port = event.number(Field::port);
    if (form_ == Form::csv) {
      fmt::print("{},{},{},{},{},{},{},{},{}\r\n", only_in, when,
                 csv_field(event.text(Field::decision_id)),
                 csv_field(event.text(Field::request_id)), csv_field(event.outcome()),
                 csv_field(event.text(Field::code)), csv_field(event.text(Field::binary)),
                 csv_field(event.text(Field::host)), port ? std::to_string(*port) : "");
      return;
    }
    fmt::print("{} {} {} {} {} {} {}\n", cell(only_in, kOnlyInWidth), cell(when, kTimeWidth),
               cell(event.text(Field::decision_id), 36), cell(event.text(Field::request_id), 32),
               cell(event.outcome(), kOutcomeWidth),
               cell(event.text(Field::binary), kBinaryWidth, Keep::back),
               cell(destination_of(event), kDestinationWidth, Keep::back));
  }

 private:
  const Form form_;
};

// Reads files, and hands their items to one function of the comparison.
class Pass final : public ItemSink {
 public:
  using Step = Comparison::Found (Comparison::*)(const Event& event);
  Pass(const Options& options, const std::vector<std::string>& paths, Comparison& comparison,
       Step step, const Differences& out)
      : options_(options),
        paths_(paths),
        progress_(options.progress, paths),
        comparison_(comparison),
        step_(step),
        out_(out) {}

  [[nodiscard]] Result<void> run(LineCounts& counts) {
    return scan(paths_, Prefilter(), counts, *this, progress_);
  }

  bool on_item(const Item& item) override {
    const Comparison::Found found = (comparison_.*step_)(item.event);
    if (found == Comparison::Found::no_room) return false;
    if (found != Comparison::Found::only_here || !options_.filter.matches(item.event)) return true;
    ++shown_;
    progress_.make_way();
    out_.write(item);
    return true;
  }
  [[nodiscard]] std::uint64_t shown() const { return shown_; }

 private:
  const Options& options_;
  const std::vector<std::string>& paths_;
  Progress progress_;
  Comparison& comparison_;
  const Step step_;
  const Differences& out_;
  std::uint64_t shown_ = 0;
};

struct Total {
  std::uint64_t Comparison::Totals::*count;
  std::string_view key;    // in JSON
  std::string_view words;  // after the number
};
constexpr std::array<Total, 14> kTotals{{
    {&Comparison::Totals::in_both, "in_both", "decisions in both logs"},
    {&Comparison::Totals::only_recorded, "only_in_records", "decisions that OPA's log lacks"},
    {&Comparison::Totals::only_recorded_as_sums, "only_in_records_as_sums",
     "more of them are known as sums only"},
    {&Comparison::Totals::only_logged, "only_in_opa_log", "decisions that Warder's records lack"},
    {&Comparison::Totals::logged_twice, "logged_twice", "decisions stand in OPA's log again"},
    {&Comparison::Totals::recorded_twice, "recorded_twice", "records repeat a decision"},
    {&Comparison::Totals::summed_up, "summed_up", "decisions are told as sums in Warder's records"},
    {&Comparison::Totals::asked_again, "asked_again",
     "decisions are about requests whose records name other decisions"},
    {&Comparison::Totals::not_received, "not_received",
     "decisions in OPA's log did not reach Warder"},
    {&Comparison::Totals::unanswered, "unanswered",
     "questions got no answer, and OPA's log has no decision on them"},
    {&Comparison::Totals::reused, "reused",
     "requests were let through by an answer given before: no decision of their own"},
    {&Comparison::Totals::never_asked, "never_asked", "requests were refused before OPA was asked"},
    {&Comparison::Totals::records_lost, "records_lost",
     "records were lost by Warder (standard output was not read)"},
    {&Comparison::Totals::probes, "probes", "decisions answer Warder's own probes"},
}};

// To people only what there is, but for the first.
void tell(const Comparison::Totals& totals) {
  for (const Total& total : kTotals) {
    const std::uint64_t count = totals.*total.count;
    if (count > 0 || &total == &kTotals.front())
      fmt::print(stderr, "warder: {} {}\n", count, total.words);
  }
}

// A line that was not read may be the very one that is said to be missing.
void tell_overlong(std::string_view name, const LineCounts& counts) {
  if (counts.overlong == 0) return;
  fmt::print(stderr,
             "warder: {} lines of the {} were too long to be read: what it seems to lack may stand "
             "in one of them, so that this is not proven\n",
             counts.overlong, name);
}

std::string as_json(const Comparison::Totals& totals, std::uint64_t overlong) {
  JsonOut out;
  out.open("summary");
  for (const Total& total : kTotals) out.add(total.key, totals.*total.count);
  out.add("lines_too_long", overlong);
  out.close();
  return out.finish();
}

Error no_records(const Options& options) {
  std::string names;
  for (const std::string& path : options.records) names += (names.empty() ? "" : ", ") + path;
  return Error{Errc::bad_config, 0, "no records of Warder's in " + names};
}

}  // namespace

int run_compare(const Options& options) {
  Comparison comparison(options.most_ids, options.filter.path);
  const Differences out(options.form);
  LineCounts log_counts;
  LineCounts record_counts;
  LineCounts again;

  // Each is made when its reading begins: how long that takes is what its progress counts.
  Pass know(options, options.records, comparison, &Comparison::know, out);
  if (auto done = know.run(record_counts); !done) return complain(done.error());
  if (comparison.overfull()) return complain_of_room(options);
  if (record_counts.records == 0) return complain(no_records(options));
  out.heading();
  Pass see(options, options.logs, comparison, &Comparison::see, out);
  if (auto done = see.run(log_counts); !done) return complain(done.error());
  Pass miss(options, options.records, comparison, &Comparison::miss, out);
  if (auto done = miss.run(again); !done) return complain(done.error());
  const Comparison::Totals& totals = comparison.finish();
  if (options.form == Form::json) {
    fmt::print("{}\n", as_json(totals, log_counts.overlong + record_counts.overlong));
  }
  tell_summary("log", log_counts);
  tell_summary("records", record_counts);
  tell(totals);
  tell_overlong("log", log_counts);
  tell_overlong("records", record_counts);
  const std::uint64_t shown = see.shown() + miss.shown();
  if (shown < totals.only_recorded + totals.only_logged) {
    fmt::print(stderr, "warder: {} of those that stand in one log only are wanted\n", shown);
  }
  return shown + totals.only_recorded_as_sums == 0 ? 0 : 1;
}

}  // namespace warder::decisions
