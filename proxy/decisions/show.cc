#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/decisions/cells.h"
#include "proxy/decisions/json_out.h"
#include "proxy/decisions/options.h"
#include "proxy/decisions/story.h"
#include "proxy/text_escape.h"

namespace warder::decisions {
namespace {

constexpr std::size_t kMostLines = 16;

// Keeps the lines of one kind that are about an id.
class LinesAbout final : public ItemSink {
 public:
  LinesAbout(const Filter& filter, Event::Kind kind) : filter_(filter), kind_(kind) {}

  bool on_item(const Item& item) override {
    if (item.event.kind != kind_ || !is_about(item.event)) return true;
    if (lines_.size() == kMostLines) {
      ++left_;
      return true;
    }
    lines_.emplace_back(item.text);
    const std::string decision(item.event.text(Field::decision_id));
    if (!decision.empty()) decisions_.push_back(decision);
    return true;
  }

  [[nodiscard]] const std::vector<std::string>& lines() const { return lines_; }
  [[nodiscard]] const std::vector<std::string>& decisions() const { return decisions_; }
  [[nodiscard]] std::size_t left() const { return left_; }

 private:
  [[nodiscard]] bool is_about(const Event& event) const {
    if (filter_.matches(event)) return true;
    const std::string_view last = event.text(Field::last_decision_id);
    return !last.empty() &&
           std::find(filter_.ids.begin(), filter_.ids.end(), last) != filter_.ids.end();
  }

  const Filter& filter_;
  const Event::Kind kind_;
  std::vector<std::string> lines_, decisions_;
  std::size_t left_ = 0;
};

void print_json(const LinesAbout& events, const LinesAbout& records) {
  for (const std::string& text : events.lines()) {
    JsonOut out;
    out.add_json("event", text);
    fmt::print("{}\n", out.finish());
  }
  for (const std::string& text : records.lines()) {
    JsonOut out;
    out.add_json("record", text);
    fmt::print("{}\n", out.finish());
  }
}

int nothing_found(const Options& options, const LineCounts& logs, const LineCounts& records) {
  fmt::print(stderr, "warder: nothing about {}\n", proxy::visible(options.id));
  tell_summary("log", logs);
  if (!options.records.empty()) tell_summary("records", records);
  return 1;
}

}  // namespace

int run_show(const Options& options, bool brief) {
  Filter filter;
  filter.path.assign(1, '*');
  filter.probes = true;
  filter.ids = {options.id};
  LineCounts record_counts;
  LinesAbout records(filter, Event::Kind::record);
  auto scanned = scan(records_of(options), Prefilter(filter), record_counts, records);
  if (!scanned) return complain(scanned.error());

  // A request that was let through by an earlier answer has no decision but that one.
  Filter wider = filter;
  wider.ids.insert(wider.ids.end(), records.decisions().begin(), records.decisions().end());
  LineCounts log_counts;
  LinesAbout events(wider, Event::Kind::decision);
  scanned = scan(logs_of(options), Prefilter(wider), log_counts, events);
  if (!scanned) return complain(scanned.error());
  if (events.lines().empty() && records.lines().empty()) {
    return nothing_found(options, log_counts, record_counts);
  }
  if (options.form == Form::json) {
    print_json(events, records);
  } else {
    fmt::print("{}", tell_story(events.lines(), records.lines(), brief));
  }
  if (events.lines().empty()) fmt::print(stderr, "warder: OPA's log has nothing about it\n");
  if (!options.records.empty() && records.lines().empty()) {
    fmt::print(stderr, "warder: Warder's records have nothing about it\n");
  }
  const std::size_t left = events.left() + records.left();
  if (left > 0) fmt::print(stderr, "warder: {} more lines about it\n", left);
  return 0;
}

}  // namespace warder::decisions
