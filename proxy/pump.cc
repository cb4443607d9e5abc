#include "proxy/pump.h"

#include <algorithm>
#include <utility>

namespace warder::proxy {

Pump::Pump(int from, int to, const std::string& first, std::size_t uncounted)
    : from_(from), to_(to), store_(make_copy_store(first)), uncounted_(uncounted) {}

bool Pump::run() {
  bool happened = false;
  std::size_t budget = kBudget;
  while (!ended_) {
    Step step = Step::moved;
    if (held() == 0) step = fill(budget);
    if (step == Step::moved) step = drain();
    happened = happened || step != Step::blocked;
    if (step != Step::moved) break;
  }
  if (store_) store_->rest();
  return happened;
}

void Pump::close() {
  ended_ = true;
  store_.reset();
}

Pump::Step Pump::fill(std::size_t& budget) {
  if (budget == 0) return Step::blocked;
  choose_store();
  auto taken = store_->fill(from_, budget);
  if (!taken && splicing_ && taken.error().sys_errno == EINVAL) {
    // Not every kind of socket can be spliced, nor urgent data.
    splicing_ = false;
    splice_refused_ = true;
    store_ = make_copy_store({});
    taken = store_->fill(from_, budget);
  }
  if (!taken) return broken(Failure::source);
  if (taken->would_block) return Step::blocked;
  if (taken->end) {
    source_ended_ = true;
    ended_ = true;
    net::shutdown_write(to_);
    return Step::over;
  }
  budget -= std::min(budget, taken->bytes);
  return Step::moved;
}

Pump::Step Pump::drain() {
  const auto given = store_->drain(to_);
  if (!given) return broken(Failure::sink);
  if (given->would_block) return Step::blocked;
  const std::size_t free_of_charge = std::min(uncounted_, given->bytes);
  uncounted_ -= free_of_charge;
  moved_ += given->bytes - free_of_charge;
  return Step::moved;
}

Pump::Step Pump::broken(Failure failure) {
  failure_ = failure;
  close();
  return Step::over;
}

void Pump::choose_store() {
  if (splicing_ || splice_refused_ || moved_ < kSpliceAfter) return;
  if (auto pipe = make_pipe_store(); pipe) {
    store_ = std::move(*pipe);
    splicing_ = true;
  } else {
    // Copying needs no descriptors. One refusal is enough: asking again costs every turn.
    splice_refused_ = true;
  }
}

}  // namespace warder::proxy
