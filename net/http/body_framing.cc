#include <limits>
#include <optional>
#include <utility>

#include "net/http/body.h"
#include "net/http/head_rules.h"

namespace warder::http {
namespace {

// Above that, origins that count in signed numbers read another length.
constexpr std::uint64_t kMaxLength = std::numeric_limits<std::int64_t>::max();

std::optional<std::uint64_t> parse_length(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t length = 0;
  for (const char c : text) {
    if (!is_digit(c)) return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (length > (kMaxLength - digit) / 10) return std::nullopt;
    length = length * 10 + digit;
  }
  return length;
}

// What the fields say of the body; nothing when they say nothing. Two readings of where a body ends
// are how requests are smuggled (RFC 9112 section 11.2), so there must be only one.
Result<std::optional<BodyFraming>> declared(const std::vector<Header>& headers, int minor,
                                            Errc code) {
  const std::string* length = find_header(headers, "content-length");
  const std::string* coding = find_header(headers, "transfer-encoding");
  const std::size_t count =
      count_headers(headers, "content-length") + count_headers(headers, "transfer-encoding");
  if (count > 1) return fail(code, "more than one Content-Length or Transfer-Encoding header");
  if (coding != nullptr) {
    if (minor == 0) return fail(code, "Transfer-Encoding in an HTTP/1.0 message");
    if (!same_name(*coding, "chunked")) {
      return fail(code, "Transfer-Encoding is not chunked and nothing else");
    }
    return BodyFraming{Framing::chunked, 0};
  }
  if (length == nullptr) return std::nullopt;
  const std::optional<std::uint64_t> number = parse_length(*length);
  if (!number) return fail(code, "Content-Length is no number below 2^63 in plain digits");
  return BodyFraming{Framing::length, *number};
}

}  // namespace

Result<BodyFraming> request_framing(const RequestHead& head) {
  const Result<std::optional<BodyFraming>> said =
      declared(head.headers, head.minor, Errc::bad_request);
  if (!said) return fail(said.error());
  if (!*said) return BodyFraming{};
  if (head.form == RequestForm::connect) {
    return fail(Errc::bad_request,
                "CONNECT with Content-Length or Transfer-Encoding: it has no body");
  }
  return **said;
}

Result<BodyFraming> response_framing(const ResponseHead& head, std::string_view request_method) {
  if (request_method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304) {
    return BodyFraming{};
  }
  const Result<std::optional<BodyFraming>> said =
      declared(head.headers, head.minor, Errc::bad_response);
  if (!said) return fail(said.error());
  return said->value_or(BodyFraming{Framing::until_close, 0});
}

}  // namespace warder::http
