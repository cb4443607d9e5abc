#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "net/result.h"
#include "net/socket.h"

namespace warder::proxy {

// Where the bytes of one direction are between the two sockets. Bounded: it is filled only when
// empty.
class PumpStore {
 public:
  virtual ~PumpStore() = default;
  [[nodiscard]] virtual std::size_t held() const = 0;
  // Takes at most `most` bytes from `from`. Only when nothing is held. EINVAL: this kind of store
  // can't take what is there, another may.
  [[nodiscard]] virtual Result<net::Transfer> fill(int from, std::size_t most) = 0;
  // Gives what is held to `to`, or a part of it.
  [[nodiscard]] virtual Result<net::Transfer> drain(int to) = 0;
  // Called between turns: give back memory that holds nothing.
  virtual void rest() = 0;
};

// read(2) and send(2) through a buffer that exists only while it holds something.
[[nodiscard]] std::unique_ptr<PumpStore> make_copy_store(const std::string& first);
// splice(2) through a pipe. Errors: those of pipe2(2).
[[nodiscard]] Result<std::unique_ptr<PumpStore>> make_pipe_store();

// One direction of a relay: moves bytes from one socket to the other, and the end of the stream
// after them. Owns neither socket.
class Pump {
 public:
  enum class Failure { none, source, sink };

  // What one call moves at most, so that one fast stream doesn't keep the others waiting.
  static constexpr std::size_t kBudget = 262144;
  // From here on a direction is long enough for a pipe to pay.
  static constexpr std::uint64_t kSpliceAfter = 262144;

  // `first` is written before anything that is read; `uncounted` of its bytes are not counted.
  Pump(int from, int to, const std::string& first, std::size_t uncounted);

  // Moves what goes without waiting, within the budget. True when anything happened: bytes moved or
  // the stream ended.
  bool run();
  // Nothing will be moved any more: forgets what is held, and closes the pipe.
  void close();

  // What run() waits for.
  [[nodiscard]] bool wants_read() const { return !ended_ && !source_ended_ && held() == 0; }
  [[nodiscard]] bool wants_write() const { return !ended_ && held() > 0; }
  // The source has said all it will say; some of it may still be held.
  [[nodiscard]] bool source_ended() const { return source_ended_; }
  // All was written and the end passed on, or the direction failed.
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] Failure failure() const { return failure_; }
  // Bytes written to the sink.
  [[nodiscard]] std::uint64_t moved() const { return moved_; }
  [[nodiscard]] bool splicing() const { return splicing_; }

 private:
  enum class Step { moved, blocked, over };
  Step fill(std::size_t& budget);
  Step drain();
  Step broken(Failure failure);
  void choose_store();
  [[nodiscard]] std::size_t held() const { return store_ ? store_->held() : 0; }

  int from_;
  int to_;
  std::unique_ptr<PumpStore> store_;
  std::size_t uncounted_;
  std::uint64_t moved_ = 0;
  bool splicing_ = false;
  bool splice_refused_ = false;
  bool source_ended_ = false;
  bool ended_ = false;
  Failure failure_ = Failure::none;
};

}  // namespace warder::proxy
