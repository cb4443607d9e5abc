#include "proxy/record_writer.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>

#include "proxy/record_output.h"
#include "proxy/signals_blocked.h"

namespace warder::proxy {
namespace {

constexpr std::size_t kBatch = 64;
// How often ended windows of repeated refusals are looked for.
constexpr std::chrono::seconds kTick{1};

}  // namespace

Result<std::unique_ptr<RecordWriter>> RecordWriter::make(RecordWriterOptions options) {
  auto output = RecordOutput::make(options.fd);
  if (!output) return fail(std::move(output.error()));
  std::unique_ptr<RecordWriter> writer(new RecordWriter(std::move(options), std::move(*output)));
  const SignalsBlocked blocked;
  try {
    writer->thread_ = std::thread([self = writer.get()] { self->run(); });
  } catch (const std::system_error& error) {
    return fail(from_errno(error.code().value(), "starting the thread that writes records"));
  }
  return writer;
}

RecordWriter::RecordWriter(RecordWriterOptions options, std::unique_ptr<RecordOutput> output)
    : options_(std::move(options)), output_(std::move(output)) {}

RecordWriter::~RecordWriter() { shutdown(); }

void RecordWriter::write(const DecisionRecord& record) {
  if (level_of(record) < options_.level) return;
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_ && !summary_.admit(record, DenialSummary::Clock::now())) return;
  }
  submit(record);
}

void RecordWriter::write(const TunnelRecord& record) {
  if (level_of(record) >= options_.level) submit(record);
}

void RecordWriter::write(const Diagnostic& record) {
  if (level_of(record) >= options_.level) submit(record);
}

void RecordWriter::submit(Record record) {
  bool lost = false;
  {
    const std::lock_guard lock(mutex_);
    lost = stopping_ || queue_.size() + in_flight_ >= options_.queue;
    if (lost) {
      ++last_seq_;
    } else {
      if (untold_ > 0) push(Dropped{std::exchange(untold_, 0)});
      push(std::move(record));
    }
  }
  if (lost) return lose(1);
  wake_.notify_one();
}

void RecordWriter::push(Record record) {
  queue_.push_back({{std::chrono::system_clock::now(), ++last_seq_}, std::move(record)});
}

void RecordWriter::collect_repeated() {
  const auto now = DenialSummary::Clock::now();
  for (RepeatedDenial& repeated : stopping_ ? summary_.flush(now) : summary_.expire(now)) {
    push(std::move(repeated));
  }
}

std::vector<RecordWriter::Entry> RecordWriter::take_batch() {
  const std::size_t count = std::min(queue_.size(), kBatch);
  const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<Entry> batch(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
  queue_.erase(queue_.begin(), end);
  in_flight_ = count;
  return batch;
}

void RecordWriter::run() {
  bool output_works = true;
  while (true) {
    std::vector<Entry> batch;
    {
      std::unique_lock lock(mutex_);
      in_flight_ = 0;
      // A loss is told when no record comes after it that would tell it; not over and over while
      // the output is broken.
      const auto due = [&] {
        return stopping_ || !queue_.empty() || (untold_ > 0 && output_works);
      };
      if (summary_.empty()) wake_.wait(lock, [&] { return due() || !summary_.empty(); });
      wake_.wait_for(lock, kTick, due);
      collect_repeated();
      if (queue_.empty() && untold_ > 0 && output_works) push(Dropped{std::exchange(untold_, 0)});
      if (queue_.empty() && stopping_) return;
      batch = take_batch();
    }
    if (!batch.empty()) output_works = write_batch(batch);
  }
}

bool RecordWriter::write_batch(const std::vector<Entry>& batch) {
  std::string lines;
  std::vector<std::size_t> ends;
  for (const Entry& entry : batch) {
    lines += std::visit(
        [&](const auto& record) { return proxy::format(entry.stamp, record, options_.format); },
        entry.record);
    ends.push_back(lines.size());
  }
  const std::size_t written = output_->write(lines);
  std::uint64_t lost = 0;
  std::uint64_t told_in_vain = 0;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (ends[i] <= written) continue;
    if (const auto* dropped = std::get_if<Dropped>(&batch[i].record)) {
      told_in_vain += dropped->count;
    } else {
      ++lost;
    }
  }
  if (told_in_vain > 0) {
    const std::lock_guard lock(mutex_);
    untold_ += told_in_vain;
  }
  if (lost > 0) lose(lost);
  return written == lines.size();
}

void RecordWriter::lose(std::uint64_t count) {
  {
    const std::lock_guard lock(mutex_);
    dropped_ += count;
    untold_ += count;
  }
  if (options_.on_drop) options_.on_drop(count);
}

void RecordWriter::shutdown() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  output_->stop_at(RecordOutput::Clock::now() + options_.flush_timeout);
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

std::uint64_t RecordWriter::dropped() const {
  const std::lock_guard lock(mutex_);
  return dropped_;
}

}  // namespace warder::proxy
