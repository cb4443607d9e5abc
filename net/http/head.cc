#include "net/http/head.h"

#include <fmt/format.h>

#include <utility>

#include "net/http/head_lines.h"
#include "net/http/head_rules.h"
#include "net/http/llhttp_witness.h"

namespace warder::http {
namespace {

// RFC 9112 section 3: a method longer than any we know gets 501, without waiting for its end.
constexpr std::size_t kMaxMethod = 32;

}  // namespace

const std::string* RequestHead::header(std::string_view name) const {
  return find_header(headers, name);
}

// Two readers of the same bytes: our lines and llhttp. Both have to be content.
struct RequestHeadReader::State final : HeadLines {
  // Where in the request line the next byte belongs.
  enum class Part { method, target, version };

  explicit State(HeadLimits head_limits)
      : HeadLines({Errc::bad_request, Errc::head_too_large, "head", head_limits.head_bytes,
                   head_limits.headers},
                  Begin::start_line),
        target_limit(head_limits.target_bytes) {}

  Result<void> on_start_byte(char c) override;
  Result<Next> on_start_line() override;
  Result<void> on_field(Header field) override;
  Result<void> on_end() override;

  Result<void> check_first(char c) const;
  Result<void> take_method(char c);
  Result<void> take_target(char c);
  Result<void> take_version(char c);

  std::size_t target_limit;
  LlhttpWitness llhttp{HTTP_REQUEST};
  RequestHead head;
  Part part = Part::method;
  bool blank_line_seen = false;
  std::string version;  // third part of the request line
};

// Clients that were told the wrong kind of proxy are common; tell their users.
Result<void> RequestHeadReader::State::check_first(char c) const {
  switch (c) {
    case 0x16:  // RFC 8446 section 5.1: content type handshake
      return bad("this looks like a TLS ClientHello, but the proxy port speaks plain HTTP");
    case 0x05:  // RFC 1928
      return bad("this looks like a SOCKS5 greeting, but the proxy port speaks HTTP");
    case 0x04: return bad("this looks like a SOCKS4 request, but the proxy port speaks HTTP");
    default: return {};
  }
}

Result<void> RequestHeadReader::State::on_start_byte(char c) {
  if (offset() == 0) {
    Result<void> first = check_first(c);
    if (!first) return first;
  }
  switch (part) {
    case Part::method: return take_method(c);
    case Part::target: return take_target(c);
    case Part::version: return take_version(c);
  }
  return {};
}

Result<void> RequestHeadReader::State::take_method(char c) {
  if (c == ' ' && !head.method.empty()) {
    if (!is_known_method(head.method)) {
      return fail(Errc::unknown_method, fmt::format("unknown method {}", head.method));
    }
    part = Part::target;
    return {};
  }
  if (!is_token_char(c)) return bad_byte(c, "in the method");
  if (head.method.size() == kMaxMethod) {
    return fail(Errc::unknown_method, fmt::format("unknown method {}…", head.method));
  }
  head.method.push_back(c);
  return {};
}

Result<void> RequestHeadReader::State::take_target(char c) {
  if (c == ' ') {
    if (head.target.empty()) return bad("two spaces after the method");
    part = Part::version;
    return {};
  }
  if (!is_ascii(c)) return bad_byte(c, "in the target is not ASCII");
  if (!is_visible(c)) return bad_byte(c, "in the target");
  if (c == '#') return bad("a fragment in the target");
  if (head.target.size() == target_limit) {
    return fail(Errc::head_too_large,
                fmt::format("the target is longer than {} bytes", target_limit));
  }
  head.target.push_back(c);
  return {};
}

Result<void> RequestHeadReader::State::take_version(char c) {
  if (c == ' ') return bad("two spaces after the target, or one after the version");
  if (!is_visible(c)) return bad_byte(c, "in the version");
  if (version.size() == kVersionLength) return bad("bytes after the version");
  version.push_back(c);
  return {};
}

Result<HeadLines::Next> RequestHeadReader::State::on_start_line() {
  if (part == Part::method && head.method.empty()) {
    // RFC 9112 section 2.2: one empty line before the request line is forgiven.
    if (blank_line_seen) return bad("more than one empty line before the request line");
    blank_line_seen = true;
    return Next::start_line;
  }
  if (part == Part::method || head.target.empty()) return bad("a request line without a target");
  // Read even when the version is refused: the record of the refusal names the host.
  const Result<void> target = read_target(head);
  if (part == Part::target) {
    return fail(Errc::unsupported_version, "no version in the request line (an HTTP/0.9 request)");
  }
  const Result<void> known = read_version(version, head);
  if (!known) return fail(known.error());
  if (!target) return fail(target.error());
  if (const std::optional<std::string> wrong = llhttp.feed(line())) return bad(*wrong);
  return Next::fields;
}

Result<void> RequestHeadReader::State::on_field(Header field) {
  if (const std::optional<std::string> wrong = llhttp.feed(line())) return bad(*wrong);
  head.headers.push_back(std::move(field));
  return {};
}

Result<void> RequestHeadReader::State::on_end() {
  if (const std::optional<std::string> wrong = llhttp.end(line())) return bad(*wrong);
  return check_headers(head);
}

RequestHeadReader::RequestHeadReader(HeadLimits limits) : state_(std::make_unique<State>(limits)) {}

RequestHeadReader::~RequestHeadReader() = default;

Result<std::size_t> RequestHeadReader::feed(std::span<const char> bytes) {
  return state_->feed(bytes);
}

bool RequestHeadReader::done() const { return state_->done(); }

bool RequestHeadReader::started() const { return state_->started(); }

RequestHead RequestHeadReader::take() { return std::move(state_->head); }

const RequestHead& RequestHeadReader::partial() const { return state_->head; }

}  // namespace warder::http
