#include <poll.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "proxy/decisions/follow.h"
#include "proxy/decisions/options.h"

namespace warder::decisions {
namespace {

constexpr int kBetweenLooks = 200;  // milliseconds

class PrintNew final : public ItemSink {
 public:
  PrintNew(const Options& options, Rows& rows) : options_(options), rows_(rows) {}
  bool on_item(const Item& item) override {
    const bool wanted =
        item.event.kind == Event::Kind::decision && options_.filter.matches(item.event);
    if (!wanted) return true;
    rows_.write(item);
    full_ = ++count_ == options_.limit;
    return !full_ && rows_.good();
  }
  [[nodiscard]] bool full() const { return full_ || !rows_.good(); }

 private:
  const Options& options_;
  Rows& rows_;
  std::size_t count_ = 0;
  bool full_ = false;
};

}  // namespace

int run_tail(const Options& options) {
  // Standard input may be silent for long after a line.
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);
  Rows rows(stdout, options.form, nullptr);
  PrintNew print(options, rows);
  LineCounts counts;
  const Prefilter prefilter(options.filter);
  std::vector<std::unique_ptr<Followed>> files;
  for (const std::string& path : options.logs) {
    files.push_back(std::make_unique<Followed>(path, options.from_start, prefilter, counts));
  }
  rows.heading();
  while (!files.empty() && !print.full()) {
    for (std::size_t i = 0; i < files.size() && !print.full();) {
      const auto more = files[i]->look(print);
      if (!more) return complain(more.error());
      if (*more) {
        ++i;
      } else {
        files.erase(files.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    if (!files.empty() && !print.full()) (void)::poll(nullptr, 0, kBetweenLooks);
  }
  tell_summary("log", counts);
  return 0;
}

}  // namespace warder::decisions
