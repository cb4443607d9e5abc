#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "proxy/decisions/options.h"
#include "proxy/text_escape.h"

namespace warder::decisions {
namespace {

class Collect final : public ItemSink {
 public:
  explicit Collect(Answers& answers) : answers_(answers) {}
  bool on_item(const Item& item) override {
    if (item.event.kind == Event::Kind::record) room_ = answers_.add(item.event);
    return room_;
  }
  [[nodiscard]] bool room() const { return room_; }

 private:
  Answers& answers_;
  bool room_ = true;
};

class Print final : public ItemSink {
 public:
  Print(const Options& options, Rows& rows, Progress& progress)
      : options_(options), rows_(rows), progress_(progress) {}
  bool on_item(const Item& item) override {
    const bool wanted =
        item.event.kind == Event::Kind::decision && options_.filter.matches(item.event);
    if (!wanted) return true;
    progress_.make_way();
    rows_.write(item);
    return ++count_ != options_.limit && rows_.good();
  }

 private:
  const Options& options_;
  Rows& rows_;
  Progress& progress_;
  std::size_t count_ = 0;
};

}  // namespace

int complain(const Error& error) {
  fmt::print(stderr, "warder: {}: {}\n", proxy::visible(error.detail), cause_of(error));
  return 1;
}

int complain_of_room(const Options& options) {
  fmt::print(stderr, "warder: more than {} records: narrow it down, or raise --max-ids\n",
             options.most_ids);
  return 1;
}

void tell_summary(std::string_view name, const LineCounts& counts) {
  fmt::print(stderr, "warder: {}: {}\n", name, summary(counts));
}

Result<bool> read_answers(const Options& options, Answers& answers) {
  LineCounts counts;
  Collect collect(answers);
  const auto scanned = scan(records_of(options), Prefilter(), counts, collect);
  if (!scanned) return fail(scanned.error());
  if (!options.records.empty()) tell_summary("records", counts);
  return collect.room();
}

int run_query(const Options& options) {
  Answers answers(options.most_ids);
  const auto room = read_answers(options, answers);
  if (!room) return complain(room.error());
  if (!*room) return complain_of_room(options);

  Rows rows(stdout, options.form, options.records.empty() ? nullptr : &answers);
  rows.heading();
  Progress progress(options.progress, options.logs);
  Print print(options, rows, progress);
  LineCounts counts;
  const auto scanned = scan(options.logs, Prefilter(options.filter), counts, print, progress);
  rows.flush();
  if (!scanned) return complain(scanned.error());
  tell_summary("log", counts);
  return 0;
}

}  // namespace warder::decisions
