#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <string>
#include <string_view>

#include "proxy/decisions/cells.h"
#include "proxy/decisions/json_out.h"
#include "proxy/decisions/options.h"
#include "proxy/decisions/tally.h"

namespace warder::decisions {
namespace {

constexpr std::size_t kMostTexts = 100'000;
constexpr std::size_t kUsualRows = 20;
constexpr std::size_t kTextWidth = 160;

std::string text_or_dash(std::string_view text) { return std::string(text.empty() ? "-" : text); }

std::string caller(const Event& event) {
  const std::string_view binary = event.text(Field::binary);
  if (!binary.empty()) return std::string(binary);
  return fmt::format("({})", text_or_dash(event.text(Field::grade)));
}

std::string who_and_where(const Event& event) {
  return caller(event) + " -> " + destination_of(event);
}

std::string container(const Event& event) {
  return text_or_dash(event.containers.empty() ? event.text(Field::container)
                                               : event.containers.front());
}

struct Kind {
  std::string_view name;
  std::string (*text)(const Event& event);
};

constexpr std::array kKinds{
    Kind{"denied", who_and_where},
    Kind{"allowed", who_and_where},
    Kind{"binaries", caller},
    Kind{"hosts", [](const Event& event) { return text_or_dash(event.text(Field::host)); }},
    Kind{"destinations", destination_of},
    Kind{"policies", [](const Event& event) { return text_or_dash(event.text(Field::policy)); }},
    Kind{"reasons", [](const Event& event) { return text_or_dash(event.text(Field::reason)); }},
    Kind{"containers", container},
    Kind{"revisions", [](const Event& event) { return text_or_dash(event.revision()); }},
    Kind{"grades",
         [](const Event& event) {
           return text_or_dash(event.text(Field::grade)) + ' ' +
                  text_or_dash(event.text(Field::assurance));
         }},
};

class CountTexts final : public ItemSink {
 public:
  CountTexts(const Filter& filter, const Kind& kind, Tally& tally)
      : filter_(filter), kind_(kind), tally_(tally) {}
  bool on_item(const Item& item) override {
    if (item.event.kind == Event::Kind::decision && filter_.matches(item.event)) {
      tally_.add(kind_.text(item.event));
      ++total_;
    }
    return true;
  }
  [[nodiscard]] std::uint64_t total() const { return total_; }

 private:
  const Filter& filter_;
  const Kind& kind_;
  Tally& tally_;
  std::uint64_t total_ = 0;
};

void print_count(const Tally::Count& found, Form form) {
  if (form == Form::table) {
    const std::string more = found.missing == 0 ? "" : fmt::format(" +{}", found.missing);
    std::string line =
        fmt::format("{:>10}{:<8} {}", found.count, more, cell(found.text, kTextWidth));
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  } else if (form == Form::csv) {
    fmt::print("{},{},{}\r\n", found.count, found.missing, csv_field(found.text));
  } else {
    JsonOut out;
    out.add("count", found.count);
    out.add("missing", found.missing);
    out.add("text", found.text);
    fmt::print("{}\n", out.finish());
  }
}

}  // namespace

std::vector<std::string> top_kinds() {
  std::vector<std::string> names;
  names.reserve(kKinds.size());
  for (const Kind& kind : kKinds) names.emplace_back(kind.name);
  return names;
}

int run_top(const Options& options) {
  const Kind* chosen = nullptr;
  for (const Kind& kind : kKinds) {
    if (kind.name == options.what) chosen = &kind;
  }
  if (chosen == nullptr) return complain({Errc::bad_config, 0, options.what + ": no such list"});
  Filter filter = options.filter;
  if (chosen->name == "denied") filter.deny = true;
  if (chosen->name == "allowed") filter.allow = true;

  Tally tally(kMostTexts);
  CountTexts count(filter, *chosen, tally);
  LineCounts counts;
  const auto scanned = scan(logs_of(options), Prefilter(filter), counts, count);
  if (!scanned) return complain(scanned.error());

  if (options.form == Form::csv) fmt::print("count,missing,text\r\n");
  const std::size_t rows = options.limit == 0 ? kUsualRows : options.limit;
  for (const Tally::Count& found : tally.top(rows)) print_count(found, options.form);
  tell_summary("log", counts);
  fmt::print(stderr, "warder: {} decisions counted\n", count.total());
  if (tally.forgotten() > 0) {
    fmt::print(stderr,
               "warder: more than {} different texts: counts may be too small by the number after "
               "+, and what is not shown came at most {} times\n",
               kMostTexts, tally.forgotten());
  }
  return 0;
}

}  // namespace warder::decisions
