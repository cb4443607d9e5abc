#include "net/http/head_lines.h"

#include <fmt/format.h>

#include <utility>

#include "net/http/head_rules.h"

namespace warder::http {

HeadLines::HeadLines(Rules rules, Begin begin)
    : rules_(rules), part_(begin == Begin::start_line ? LinePart::start : LinePart::line_start) {}

Result<std::size_t> HeadLines::feed(std::span<const char> bytes) {
  if (error_) return fail(*error_);
  std::size_t taken = 0;
  while (taken < bytes.size() && !done_) {
    Result<void> result = take_byte(bytes[taken]);
    if (!result) {
      error_ = std::move(result.error());
      return fail(*error_);
    }
    ++bytes_;
    ++taken;
  }
  return taken;
}

tl::unexpected<Error> HeadLines::bad(std::string_view rule) const {
  return fail(rules_.malformed, fmt::format("{} (byte {})", rule, bytes_));
}

tl::unexpected<Error> HeadLines::bad_byte(char c, std::string_view where) const {
  return fail(rules_.malformed, fmt::format("byte 0x{:02x} {} (byte {})",
                                            static_cast<unsigned char>(c), where, bytes_));
}

Result<void> HeadLines::take_byte(char c) {
  if (bytes_ == rules_.bytes) {
    return fail(rules_.too_large,
                fmt::format("the {} is longer than {} bytes", rules_.what, bytes_));
  }
  if (after_cr_ && c != '\n') return bad("CR without LF");
  if (!after_cr_ && c == '\n') return bad("LF without CR");
  line_.push_back(c);
  if (c == '\r') {
    after_cr_ = true;
    return {};
  }
  if (c != '\n') return take_part(c);
  after_cr_ = false;
  Result<void> ended = end_line();
  line_.clear();
  return ended;
}

Result<void> HeadLines::take_part(char c) {
  switch (part_) {
    case LinePart::start: return on_start_byte(c);
    case LinePart::line_start:
      if (is_blank(c)) return bad("a header line begins with a blank (obsolete line folding)");
      part_ = LinePart::name;
      return take_name(c);
    case LinePart::name: return take_name(c);
    case LinePart::value: return take_value(c);
  }
  return {};
}

Result<void> HeadLines::take_name(char c) {
  if (c == ':') {
    if (line_.size() == 1) return bad("an empty header name");
    colon_ = line_.size() - 1;
    part_ = LinePart::value;
    return {};
  }
  if (is_blank(c)) return bad("a blank in or after a header name");
  if (!is_token_char(c)) return bad_byte(c, "in a header name");
  return {};
}

Result<void> HeadLines::take_value(char c) const {
  if (!is_value_char(c)) return bad_byte(c, "in a header value");
  return {};
}

Result<void> HeadLines::end_line() {
  switch (part_) {
    case LinePart::start: {
      const Result<Next> next = on_start_line();
      if (!next) return fail(next.error());
      if (*next == Next::fields) part_ = LinePart::line_start;
      return {};
    }
    case LinePart::line_start: {
      Result<void> ended = on_end();
      if (ended) done_ = true;
      return ended;
    }
    case LinePart::name: return bad("a header line without ':'");
    case LinePart::value: return end_field();
  }
  return {};
}

Result<void> HeadLines::end_field() {
  if (++fields_ > rules_.fields) {
    return fail(rules_.too_large, fmt::format("more than {} headers", rules_.fields));
  }
  part_ = LinePart::line_start;
  std::string_view value = line();
  value.remove_suffix(2);  // CRLF
  value.remove_prefix(colon_ + 1);
  return on_field(
      Header{std::string(line().substr(0, colon_)), std::string(without_blanks(value))});
}

}  // namespace warder::http
