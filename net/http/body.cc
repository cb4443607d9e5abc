#include "net/http/body.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "net/http/field_rules.h"
#include "net/http/head_lines.h"
#include "net/http/head_rules.h"

namespace warder::http {
namespace {

// 64 bits.
constexpr std::size_t kMaxSizeDigits = 16;

// Chunks of a byte with long extensions make a proxy read much for nothing. What a chunk may cost
// for free, and how much more than that all of them together (as Go's net/http counts it).
constexpr std::uint64_t kChunkAllowance = 16;
constexpr std::uint64_t kMaxOverhead = 16384;

std::optional<unsigned> hex_value(char c) {
  if (is_digit(c)) return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A') + 10;
  return std::nullopt;
}

}  // namespace

struct BodyReader::Trailers final : HeadLines {
  Trailers(const BodyLimits& limits, Errc malformed)
      : HeadLines({malformed, malformed, "trailer section", limits.trailer_bytes, limits.trailers},
                  Begin::fields) {}

  // There is none.
  Result<void> on_start_byte(char) override { return {}; }
  Result<Next> on_start_line() override { return Next::fields; }
  Result<void> on_field(Header field) override {
    // Dropping would do (RFC 9110 section 6.5.1), but nobody sends these by mistake.
    if (same_name(field.name, "content-length") || same_name(field.name, "transfer-encoding")) {
      return bad(fmt::format("{} among the trailers", field.name));
    }
    if (may_be_trailer(field.name)) fields.push_back(std::move(field));
    return {};
  }
  Result<void> on_end() override { return {}; }

  std::vector<Header> fields;
};

BodyReader::BodyReader(BodyFraming framing, BodyLimits limits, Errc malformed)
    : framing_(framing),
      limits_(limits),
      malformed_(malformed),
      state_(framing.kind == Framing::chunked ? State::size : State::plain),
      left_(framing.length) {
  const bool empty =
      framing.kind == Framing::none || (framing.kind == Framing::length && framing.length == 0);
  if (empty) state_ = State::done;
}

BodyReader::~BodyReader() = default;

tl::unexpected<Error> BodyReader::bad(std::string_view rule) const {
  return fail(malformed_, fmt::format("{} (byte {} of the body)", rule, offset_));
}

tl::unexpected<Error> BodyReader::bad_byte(char c, std::string_view where) const {
  return fail(malformed_, fmt::format("byte 0x{:02x} {} (byte {} of the body)",
                                      static_cast<unsigned char>(c), where, offset_));
}

Result<BodyReader::Piece> BodyReader::feed(std::span<const char> bytes) {
  if (error_) return fail(*error_);
  if (done()) return Piece{0, {}, true};
  const std::string_view text(bytes.data(), bytes.size());
  Result<Piece> piece = state_ == State::plain ? feed_plain(text) : feed_chunked(text);
  if (!piece) error_ = piece.error();
  return piece;
}

Result<BodyReader::Piece> BodyReader::feed_plain(std::string_view bytes) {
  if (framing_.kind == Framing::until_close) {
    offset_ += bytes.size();
    return Piece{bytes.size(), bytes, false};
  }
  const std::string_view data = take_data(bytes);
  if (left_ == 0) state_ = State::done;
  return Piece{data.size(), data, done()};
}

std::string_view BodyReader::take_data(std::string_view bytes) {
  const std::string_view data =
      bytes.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), left_)));
  left_ -= data.size();
  offset_ += data.size();
  return data;
}

Result<BodyReader::Piece> BodyReader::feed_chunked(std::string_view bytes) {
  std::size_t used = 0;
  while (used < bytes.size() && !done()) {
    const std::string_view rest = bytes.substr(used);
    if (state_ == State::data) {
      const std::string_view data = take_data(rest);
      if (left_ == 0) state_ = State::data_cr;
      return Piece{used + data.size(), data, false};
    }
    if (state_ == State::trailers) {
      const Result<std::size_t> taken = trailers_->feed(rest);
      if (!taken) return fail(taken.error());
      if (trailers_->done()) state_ = State::done;
      used += *taken;
      continue;
    }
    const Result<void> taken = take_byte(rest.front());
    if (!taken) return fail(taken.error());
    ++offset_;
    ++used;
  }
  return Piece{used, {}, done()};
}

Result<void> BodyReader::take_byte(char c) {
  switch (state_) {
    case State::data_cr:
      if (c != '\r') return bad_byte(c, "after a chunk, where CRLF belongs");
      state_ = State::data_lf;
      return {};
    case State::data_lf:
      if (c != '\n') return bad("CR without LF after a chunk");
      state_ = State::size;
      digits_ = 0;
      line_ = 0;
      return {};
    default: return take_line_byte(c);
  }
}

// A byte of "size *( ; name [ = value ] ) CRLF".
Result<void> BodyReader::take_line_byte(char c) {
  if (line_ == limits_.chunk_line_bytes) {
    return bad(fmt::format("the first line of a chunk is longer than {} bytes", line_));
  }
  ++line_;
  switch (state_) {
    case State::size: return take_size(c);
    case State::size_lf:
      if (c != '\n') return bad("CR without LF after a chunk size");
      return end_size_line();
    default: return take_extension(c);
  }
}

Result<void> BodyReader::take_size(char c) {
  if (const std::optional<unsigned> digit = hex_value(c)) {
    if (digits_ == kMaxSizeDigits) return bad("a chunk size of more than 16 digits");
    left_ = (left_ << 4U) | *digit;
    ++digits_;
    return {};
  }
  if (digits_ == 0 || (c != '\r' && c != ';')) return bad_byte(c, "in a chunk size");
  state_ = c == ';' ? State::extension_start : State::size_lf;
  return {};
}

// RFC 9112 section 7.1.1, without the blanks it asks nobody to send.
Result<void> BodyReader::take_extension(char c) {
  const std::optional<State> next = after_extension_byte(c);
  if (!next) return bad_byte(c, "in a chunk extension");
  state_ = *next;
  return {};
}

std::optional<BodyReader::State> BodyReader::after_extension_byte(char c) const {
  const bool token = is_token_char(c);
  std::optional<State> end;  // where a byte leads that ends this extension, or all of them
  if (c == ';') end = State::extension_start;
  if (c == '\r') end = State::size_lf;
  switch (state_) {
    case State::extension_start: return token ? std::optional(State::extension_name) : std::nullopt;
    case State::extension_name:
      if (c == '=') return State::extension_value;
      return token ? State::extension_name : end;
    case State::extension_value:
      if (c == '"') return State::extension_quoted;
      return token ? std::optional(State::extension_token) : std::nullopt;
    case State::extension_token: return token ? State::extension_token : end;
    case State::extension_quoted:
      if (!is_value_char(c)) return std::nullopt;
      if (c == '"') return State::extension_after_quoted;
      return c == '\\' ? State::extension_escape : State::extension_quoted;
    case State::extension_escape:
      return is_value_char(c) ? std::optional(State::extension_quoted) : std::nullopt;
    default: return end;  // after a quoted value
  }
}

Result<void> BodyReader::end_size_line() {
  if (left_ == 0) {
    trailers_ = std::make_unique<Trailers>(limits_, malformed_);
    state_ = State::trailers;
    return {};
  }
  // A chunk of n bytes pays for 16 + 2n bytes of its line; n may be huge, so not by multiplying.
  const std::uint64_t paid = left_ > kMaxOverhead ? 2 * kMaxOverhead : kChunkAllowance + 2 * left_;
  overhead_ = overhead_ + line_ > paid ? overhead_ + line_ - paid : 0;
  if (overhead_ > kMaxOverhead) return bad("more chunk extensions than payload");
  state_ = State::data;
  return {};
}

Result<void> BodyReader::finish() {
  if (error_) return fail(*error_);
  if (framing_.kind == Framing::until_close) state_ = State::done;
  if (done()) return {};
  if (framing_.kind == Framing::length) {
    return fail(Errc::closed_by_peer,
                fmt::format("the connection ended after {} of {} bytes", offset_, framing_.length));
  }
  return fail(Errc::closed_by_peer, "the connection ended before the last chunk did");
}

std::vector<Header> BodyReader::take_trailers() {
  return trailers_ ? std::move(trailers_->fields) : std::vector<Header>{};
}

void append_chunk(std::string& out, std::string_view data) {
  if (data.empty()) return;
  fmt::format_to(std::back_inserter(out), "{:x}\r\n", data.size());
  out.append(data).append("\r\n");
}

void append_last_chunk(std::string& out, const std::vector<Header>& trailers) {
  out += "0\r\n";
  for (const Header& field : trailers) {
    out.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  out += "\r\n";
}

}  // namespace warder::http
