#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "proxy/decisions/cells.h"
#include "proxy/decisions/json_out.h"
#include "proxy/decisions/lines_about.h"
#include "proxy/decisions/options.h"
#include "proxy/decisions/story.h"
#include "proxy/text_escape.h"

namespace warder::decisions {
namespace {

// Standard input and pipes are empty the second time.
bool can_be_read_again(const std::vector<std::string>& paths) {
  return std::all_of(paths.begin(), paths.end(), [](const std::string& path) {
    struct stat about {};
    return path != "-" && ::stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode);
  });
}

bool has_all(const std::vector<std::string>& some, const std::vector<std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const std::string& id) {
    return std::find(some.begin(), some.end(), id) != some.end();
  });
}

class Both final : public ItemSink {
 public:
  Both(ItemSink& one, ItemSink& other) : one_(one), other_(other) {}
  bool on_item(const Item& item) override { return one_.on_item(item) && other_.on_item(item); }

 private:
  ItemSink& one_;
  ItemSink& other_;
};

// Reads both logs. A request that was let through by an earlier answer has no decision but that
// one, which only its record names; and of an answer that Warder did not receive no record has the
// id, but the event has that of the request. So each log is looked through for what the other
// names.
class Search {
 public:
  explicit Search(const Options& options) : options_(options) {}

  [[nodiscard]] Result<void> run() {
    const bool records_first = can_be_read_again(options_.records);
    for (const bool of_records : {records_first, !records_first, records_first}) {
      if (auto read = of_records ? read_records() : read_log(); !read) return read;
    }
    return {};
  }

  [[nodiscard]] const LinesAbout& events() const { return events_; }
  [[nodiscard]] const LinesAbout& records() const { return records_; }
  [[nodiscard]] const LineCounts& log_counts() const { return log_counts_; }
  [[nodiscard]] const LineCounts& record_counts() const { return record_counts_; }

 private:
  [[nodiscard]] Result<void> read_log();
  [[nodiscard]] Result<void> read_records();
  [[nodiscard]] std::vector<std::string> with(const std::vector<std::string>& more) const {
    std::vector<std::string> ids{options_.id};
    ids.insert(ids.end(), more.begin(), more.end());
    return ids;
  }

  const Options& options_;
  LinesAbout events_{Event::Kind::decision, {options_.id}};
  LinesAbout records_{Event::Kind::record, {options_.id}};
  LineCounts log_counts_, record_counts_;
  bool log_read_ = false, records_read_ = false;
};

Result<void> Search::read_log() {
  const std::vector<std::string> named = records_.decisions();
  const bool nothing_new = has_all(events_.decisions(), named) || !can_be_read_again(options_.logs);
  if (std::exchange(log_read_, true) && nothing_new) return {};
  events_ = LinesAbout(Event::Kind::decision, with(named));
  log_counts_ = {};
  return scan(logs_of(options_), Prefilter(events_.filter()), log_counts_, events_);
}

Result<void> Search::read_records() {
  const bool found = !records_.lines().empty();
  const bool nothing_new = found || events_.lines().empty() || !can_be_read_again(options_.records);
  if (std::exchange(records_read_, true) && nothing_new) return {};
  LinesAbout of_request(Event::Kind::record, with(events_.requests()));
  Both both(records_, of_request);
  record_counts_ = {};
  auto scanned = scan(records_of(options_), Prefilter(of_request.filter()), record_counts_, both);
  if (records_.lines().empty()) records_ = std::move(of_request);
  return scanned;
}

void print_json(const LinesAbout& events, const LinesAbout& records) {
  for (const LoggedLine& line : events.lines()) {
    JsonOut out;
    out.add_json("event", line.text);
    fmt::print("{}\n", out.finish());
  }
  for (const LoggedLine& line : records.lines()) {
    JsonOut out;
    out.add_json("record", line.text);
    if (line.count > 1) out.add("count", line.count);
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
  Search search(options);
  if (const auto done = search.run(); !done) return complain(done.error());
  const LinesAbout& events = search.events();
  const LinesAbout& records = search.records();
  if (events.lines().empty() && records.lines().empty()) {
    return nothing_found(options, search.log_counts(), search.record_counts());
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
  const std::uint64_t left = events.left() + records.left();
  if (left > 0) fmt::print(stderr, "warder: {} more lines about it\n", left);
  return 0;
}

}  // namespace warder::decisions
