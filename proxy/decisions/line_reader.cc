#include "proxy/decisions/line_reader.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

namespace warder::decisions {
namespace {

constexpr std::size_t kBlock = 256 << 10;
constexpr std::size_t kUsual = 1 << 20;  // a line

}  // namespace

LineReader::LineReader(net::UniqueFd fd) : source_(std::move(fd)), buffer_(kUsual + kBlock) {}

Result<bool> LineReader::refill() {
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    scanned_ -= begin_;
    begin_ = 0;
  }
  if (end_ > kLongest) {
    if (!passing_over_) ++overlong_;
    passing_over_ = true;
    end_ = scanned_ = 0;
  }
  if (buffer_.size() - end_ < kBlock) {
    buffer_.resize(std::min(2 * buffer_.size(), kLongest + kBlock));
  }
  const std::size_t room = buffer_.size() - end_;
  const auto got = source_.read({buffer_.data() + end_, room < kBlock ? room : kBlock});
  if (!got) return fail(got.error());
  end_ += *got;
  return *got > 0;
}

Result<std::optional<std::string_view>> LineReader::next() {
  while (true) {
    const void* found = std::memchr(buffer_.data() + scanned_, '\n', end_ - scanned_);
    if (found == nullptr) {
      scanned_ = end_;
      const auto more = refill();
      if (!more) return fail(more.error());
      if (!*more) return std::nullopt;
      continue;
    }
    const auto stop = static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data());
    std::string_view line(buffer_.data() + begin_, stop - begin_);
    begin_ = scanned_ = stop + 1;
    if (passing_over_) {
      passing_over_ = false;
      continue;
    }
    if (line.size() > kLongest) {
      ++overlong_;
      continue;
    }
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }
}

std::string_view LineReader::rest() {
  const std::string_view bytes(buffer_.data() + begin_, passing_over_ ? 0 : end_ - begin_);
  begin_ = scanned_ = end_;
  passing_over_ = false;
  if (bytes.size() <= kLongest) return bytes;
  ++overlong_;
  return {};
}

}  // namespace warder::decisions
