#include "opa-client/response_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace warder::opa {
namespace {

constexpr int kSwitchingProtocols = 101;

ResponseReader& reader_of(llhttp_t* parser) { return *static_cast<ResponseReader*>(parser->data); }

}  // namespace

ResponseReader::ResponseReader(AnswerLimits limits) : limits_(limits) { reset(); }

const llhttp_settings_t& ResponseReader::settings() {
  static const llhttp_settings_t kSettings = [] {
    llhttp_settings_t settings;
    llhttp_settings_init(&settings);
    settings.on_headers_complete = &ResponseReader::on_headers_complete;
    settings.on_body = &ResponseReader::on_body;
    settings.on_message_complete = &ResponseReader::on_message_complete;
    return settings;
  }();
  return kSettings;
}

void ResponseReader::reset() {
  body_.clear();
  head_used_ = 0;
  started_ = false;
  too_large_ = false;
  keep_alive_ = false;
  done_ = false;
  begin_message();
}

void ResponseReader::begin_message() {
  llhttp_init(&parser_, HTTP_RESPONSE, &settings());
  parser_.data = this;
  in_body_ = false;
  message_complete_ = false;
}

bool ResponseReader::interim() const {
  return parser_.status_code / 100 == 1 && parser_.status_code != kSwitchingProtocols;
}

int ResponseReader::on_headers_complete(llhttp_t* parser) {
  ResponseReader& self = reader_of(parser);
  self.in_body_ = true;
  // llhttp reads 0.9 and 2.0 in a status line too (RFC 9112, section 2.3: the major version is 1).
  if (parser->http_major != 1) {
    llhttp_set_error_reason(parser, "version other than HTTP/1");
    return -1;
  }
  // A length that can't be kept is refused before the body is sent.
  if ((parser->flags & F_CONTENT_LENGTH) != 0 && parser->content_length > self.limits_.body_bytes) {
    self.too_large_ = true;
    return -1;
  }
  return 0;
}

int ResponseReader::on_body(llhttp_t* parser, const char* at, std::size_t length) {
  ResponseReader& self = reader_of(parser);
  if (length > self.limits_.body_bytes - self.body_.size()) {
    self.too_large_ = true;
    return -1;
  }
  self.body_.append(at, length);
  return 0;
}

int ResponseReader::on_message_complete(llhttp_t* parser) {
  ResponseReader& self = reader_of(parser);
  self.message_complete_ = true;
  self.keep_alive_ =
      llhttp_should_keep_alive(parser) != 0 && parser->status_code != kSwitchingProtocols;
  // What follows is not looked at by the parser: it would be the next response.
  return HPE_PAUSED;
}

Error ResponseReader::parse_error() const {
  if (too_large_) {
    return {Errc::opa_too_large, 0,
            fmt::format("the body has more than {} bytes", limits_.body_bytes)};
  }
  const char* reason = llhttp_get_error_reason(&parser_);
  return {Errc::opa_bad_answer, 0,
          fmt::format("not an HTTP/1 response: {} ({})", reason == nullptr ? "" : reason,
                      llhttp_errno_name(llhttp_get_errno(&parser_)))};
}

Result<std::size_t> ResponseReader::feed(std::span<const char> bytes) {
  std::size_t used = 0;
  while (used < bytes.size() && !done_) {
    started_ = true;
    std::span<const char> piece = bytes.subspan(used);
    if (!in_body_) {
      // llhttp has no limit of its own. A piece of a head is never longer than what is left.
      const std::size_t left = limits_.head_bytes - head_used_;
      if (left == 0) {
        return fail(Errc::opa_too_large,
                    fmt::format("the head has more than {} bytes", limits_.head_bytes));
      }
      piece = piece.first(std::min(piece.size(), left));
      head_used_ += piece.size();
    }
    const llhttp_errno_t code = llhttp_execute(&parser_, piece.data(), piece.size());
    if (!message_complete_) {
      if (code != HPE_OK) return fail(parse_error());
      used += piece.size();
      continue;
    }
    const auto consumed = static_cast<std::size_t>(llhttp_get_error_pos(&parser_) - piece.data());
    used += consumed;
    if (interim()) {
      head_used_ -= piece.size() - consumed;
      begin_message();
    } else {
      done_ = true;
    }
  }
  return used;
}

Result<void> ResponseReader::finish() {
  if (!done_ && in_body_) {
    // The code doesn't matter: on_message_complete pauses.
    static_cast<void>(llhttp_finish(&parser_));
    done_ = message_complete_;
  }
  keep_alive_ = false;
  if (done_) return {};
  if (!started_) return fail(Errc::opa_truncated, "the connection ended before an answer");
  return fail(Errc::opa_truncated, "the connection ended in the middle of the answer");
}

std::string ResponseReader::take_body() { return std::exchange(body_, {}); }

}  // namespace warder::opa
