#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "net/result.h"
#include "proxy/decisions/byte_source.h"

namespace warder::decisions {

// Cuts bytes into lines. Memory grows with the longest line, and is bounded: one longer than
// kLongest is passed over and counted.
class LineReader {
 public:
  // Bytes, the line feed not counted. Of a decision that Warder has received, the question and the
  // answer are at most 1 MiB each (rego/opa.yaml, opa::AnswerLimits), and OPA's console writes six
  // bytes for one where that is a '<', '>' or '&'; 1 MiB is for the rest of the event.
  static constexpr std::size_t kLongest = (6 + 6 + 1) << 20;

  explicit LineReader(net::UniqueFd fd);

  // The next line that ended with a line feed, without that and a carriage return before it;
  // nothing at the end of the bytes, where it may be called again later. The view holds until the
  // next call.
  [[nodiscard]] Result<std::optional<std::string_view>> next();

  // After next() gave nothing: the bytes after the last line feed, which there are none of
  // afterwards. A torn line, or one whose writer ended without a line feed.
  [[nodiscard]] std::string_view rest();

  [[nodiscard]] std::uint64_t overlong() const { return overlong_; }
  [[nodiscard]] const ByteSource& source() const { return source_; }

 private:
  // Whether there are more bytes.
  [[nodiscard]] Result<bool> refill();

  ByteSource source_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;    // of the line that comes next
  std::size_t scanned_ = 0;  // up to here there is no line feed
  std::size_t end_ = 0;
  bool passing_over_ = false;  // the line's beginning was too long, its end has not come yet
  std::uint64_t overlong_ = 0;
};

}  // namespace warder::decisions
