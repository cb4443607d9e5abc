#pragma once

#include <llhttp.h>

#include <cstddef>
#include <span>
#include <string>

#include "net/result.h"

namespace warder::opa {

struct AnswerLimits {
  std::size_t head_bytes = 16384;  // status line and headers, interim answers included
  std::size_t body_bytes = 1 << 20;
};

// Reads one HTTP/1 response. Feed it bytes as they come, in pieces of any size. Interim answers
// (RFC 9110, section 15.2) are skipped; 101 is an answer, as nothing was asked that could lead to
// it.
class ResponseReader {
 public:
  explicit ResponseReader(AnswerLimits limits);
  ~ResponseReader() = default;
  ResponseReader(const ResponseReader&) = delete;
  ResponseReader& operator=(const ResponseReader&) = delete;

  // Ready for the next response.
  void reset();

  // How many of `bytes` belong to the response: fewer than all only once done(). After an error the
  // reader is finished. Errors: opa_bad_answer (not HTTP/1), opa_too_large.
  [[nodiscard]] Result<std::size_t> feed(std::span<const char> bytes);
  // The stream has ended, which completes a body that has no length of its own. Error:
  // opa_truncated.
  [[nodiscard]] Result<void> finish();

  [[nodiscard]] bool started() const { return started_; }  // at least one byte was fed
  [[nodiscard]] bool done() const { return done_; }
  // Once done(): whether the connection may carry another exchange.
  [[nodiscard]] bool keep_alive() const { return keep_alive_; }
  [[nodiscard]] int status() const { return parser_.status_code; }
  [[nodiscard]] std::string take_body();

 private:
  static const llhttp_settings_t& settings();
  static int on_headers_complete(llhttp_t* parser);
  static int on_body(llhttp_t* parser, const char* at, std::size_t length);
  static int on_message_complete(llhttp_t* parser);

  void begin_message();
  [[nodiscard]] bool interim() const;
  [[nodiscard]] Error parse_error() const;

  AnswerLimits limits_;
  llhttp_t parser_{};
  std::string body_;
  std::size_t head_used_ = 0;
  bool started_ = false;
  bool in_body_ = false;  // the head is complete
  bool message_complete_ = false;
  bool too_large_ = false;
  bool keep_alive_ = false;
  bool done_ = false;
};

}  // namespace warder::opa
