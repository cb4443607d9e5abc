#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "net/result.h"
#include "proxy/config.h"
#include "proxy/denial_summary.h"
#include "proxy/record.h"
#include "proxy/record_format.h"

namespace warder::proxy {

class RecordOutput;

struct RecordWriterOptions {
  int fd = 1;  // stays the caller's and open until the writer is gone
  LogLevel level = LogLevel::info;
  LogFormat format = LogFormat::json;
  std::size_t queue = 8192;  // records not yet written; above, the newest is dropped
  std::chrono::milliseconds flush_timeout{2000};
  // Told of every loss, on any thread that calls the writer and on its own; must not call it.
  std::function<void(std::uint64_t count)> on_drop;
};

// Writes records as lines, on a thread of its own: write() copies, stamps and returns, whatever
// state the reader of the output is in. Each record gets its sequence number when it is submitted,
// so a gap is a loss; the number lost is also told in a record of its own, `dropped`, as soon as
// there is room. Repeated refusals are summed up, but for revocations (DenialSummary).
class RecordWriter final : public RecordSink {
 public:
  // Errors: from the system, when there is no descriptor to be had.
  [[nodiscard]] static Result<std::unique_ptr<RecordWriter>> make(RecordWriterOptions options);

  RecordWriter(const RecordWriter&) = delete;
  RecordWriter& operator=(const RecordWriter&) = delete;
  // Shuts down.
  ~RecordWriter() override;

  void write(const DecisionRecord& record) override;
  void write(const TunnelRecord& record) override;
  void write(const Diagnostic& record) override;

  // Writes what is there, for at most `flush_timeout`; what comes later is dropped. May be called
  // again. Not for the threads that must never block.
  void shutdown();

  // Records lost so far.
  [[nodiscard]] std::uint64_t dropped() const;

 private:
  using Record = std::variant<DecisionRecord, TunnelRecord, Diagnostic, RepeatedDenial, Dropped>;
  struct Entry {
    Stamp stamp;
    Record record;
  };

  RecordWriter(RecordWriterOptions options, std::unique_ptr<RecordOutput> output);
  void submit(Record record);
  // With mutex_ held.
  void push(Record record);
  void collect_repeated();
  [[nodiscard]] std::vector<Entry> take_batch();

  void run();
  // False when not all lines were written.
  [[nodiscard]] bool write_batch(const std::vector<Entry>& batch);
  void lose(std::uint64_t count);

  const RecordWriterOptions options_;
  const std::unique_ptr<RecordOutput> output_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Entry> queue_;
  DenialSummary summary_;
  std::size_t in_flight_ = 0;  // taken out of the queue and not yet written
  std::uint64_t last_seq_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t untold_ = 0;  // of `dropped_`, not yet in a record
  bool stopping_ = false;

  std::thread thread_;
};

}  // namespace warder::proxy
