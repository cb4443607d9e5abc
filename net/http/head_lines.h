#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/http/head.h"
#include "net/result.h"

namespace warder::http {

// What request heads, response heads and trailer sections have in common: lines that end in CRLF
// exactly, fields one a line, an empty line at the end, and limits. Goes byte by byte, so that a
// limit or a forbidden byte ends the reading at once and the result can't depend on how the bytes
// were cut. A base for the readers; they are owned through their own type.
class HeadLines {
 public:
  struct Rules {
    Errc malformed;
    Errc too_large;
    std::string_view what;  // "head": for messages
    std::size_t bytes;      // all lines with their ends
    std::size_t fields;
  };
  enum class Begin { start_line, fields };

  HeadLines(const HeadLines&) = delete;
  HeadLines& operator=(const HeadLines&) = delete;

  // How many of `bytes` belong here; once done() none do. After an error every call returns it.
  [[nodiscard]] Result<std::size_t> feed(std::span<const char> bytes);
  [[nodiscard]] bool done() const { return done_; }
  // At least one byte was fed, be it one that was refused.
  [[nodiscard]] bool started() const { return bytes_ > 0 || error_.has_value(); }

 protected:
  // Is there another start line to come (one that was empty), or are the fields next?
  enum class Next { start_line, fields };

  HeadLines(Rules rules, Begin begin);
  ~HeadLines() = default;

  // A byte of the start line that is neither CR nor LF.
  virtual Result<void> on_start_byte(char c) = 0;
  virtual Result<Next> on_start_line() = 0;
  virtual Result<void> on_field(Header field) = 0;
  virtual Result<void> on_end() = 0;

  // The current line as sent, with its end when that was read.
  [[nodiscard]] std::string_view line() const { return line_; }
  // Offset of the byte being read.
  [[nodiscard]] std::size_t offset() const { return bytes_; }
  [[nodiscard]] tl::unexpected<Error> bad(std::string_view rule) const;
  [[nodiscard]] tl::unexpected<Error> bad_byte(char c, std::string_view where) const;

 private:
  enum class LinePart { start, line_start, name, value };

  Result<void> take_byte(char c);
  Result<void> take_part(char c);
  Result<void> take_name(char c);
  Result<void> take_value(char c) const;
  Result<void> end_line();
  Result<void> end_field();

  Rules rules_;
  LinePart part_;
  bool after_cr_ = false;
  bool done_ = false;
  std::size_t bytes_ = 0;  // taken so far
  std::size_t fields_ = 0;
  std::size_t colon_ = 0;  // where the name ends in line_
  std::string line_;
  std::optional<Error> error_;
};

}  // namespace warder::http
