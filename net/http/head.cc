#include "net/http/head.h"

#include <fmt/format.h>
#include <llhttp.h>

#include <algorithm>
#include <utility>

#include "net/http/head_rules.h"

namespace warder::http {
namespace {

// RFC 9112 section 3: a method longer than any we know gets 501, without waiting for its end.
constexpr std::size_t kMaxMethod = 32;
constexpr std::size_t kVersionLength = 8;  // "HTTP/1.1"

constexpr bool is_blank(char c) { return c == ' ' || c == '\t'; }
constexpr bool is_visible(char c) { return c > 0x20 && c < 0x7f; }
constexpr bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Where in the head the next byte belongs.
enum class Part { method, target, version, line_start, name, value };

}  // namespace

const std::string* RequestHead::header(std::string_view name) const {
  const auto found = std::find_if(headers.begin(), headers.end(), [&](const Header& header) {
    return same_name(header.name, name);
  });
  return found == headers.end() ? nullptr : &found->value;
}

// Two readers of the same bytes. Ours goes byte by byte, so that a limit or a forbidden byte ends
// the request at once; llhttp gets whole lines of what passed, so that the result can't depend on
// how the bytes were cut. Both have to be content.
struct RequestHeadReader::State {
  explicit State(HeadLimits head_limits) : limits(head_limits) {
    llhttp_settings_init(&settings);
    settings.on_header_field = [](llhttp_t* source, const char* at, std::size_t length) {
      of(source).field.append(at, length);
      return 0;
    };
    settings.on_header_value = [](llhttp_t* source, const char* at, std::size_t length) {
      of(source).value.append(at, length);
      return 0;
    };
    settings.on_header_value_complete = [](llhttp_t* source) {
      State& state = of(source);
      state.head.headers.push_back(
          Header{std::exchange(state.field, {}), std::string(trimmed(state.value))});
      state.value.clear();
      return 0;
    };
    settings.on_headers_complete = [](llhttp_t* source) {
      of(source).complete = true;
      return 0;
    };
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = this;
  }

  static State& of(llhttp_t* source) { return *static_cast<State*>(source->data); }

  [[nodiscard]] tl::unexpected<Error> bad(std::string_view rule) const {
    return fail(Errc::bad_request, fmt::format("{} (byte {})", rule, bytes));
  }
  [[nodiscard]] tl::unexpected<Error> bad_byte(char c, std::string_view where) const {
    return fail(Errc::bad_request, fmt::format("byte 0x{:02x} {} (byte {})",
                                               static_cast<unsigned char>(c), where, bytes));
  }

  Result<void> take_byte(char c);
  Result<void> take_part(char c);
  Result<void> take_first(char c) const;
  Result<void> take_method(char c);
  Result<void> take_target(char c);
  Result<void> take_version(char c);
  Result<void> take_name(char c);
  Result<void> take_value(char c) const;
  Result<void> end_line();
  Result<void> end_request_line();
  Result<void> end_head();
  Result<void> feed_llhttp();

  HeadLimits limits;
  llhttp_settings_t settings{};
  llhttp_t parser{};
  RequestHead head;
  std::optional<Error> error;
  std::size_t bytes = 0;  // taken so far: the offset of the next one
  bool complete = false;  // llhttp has seen the end of the headers
  bool done = false;

  Part part = Part::method;
  bool after_cr = false;
  bool blank_line_seen = false;
  std::string line;     // the current one, as sent
  std::string version;  // third part of the request line
  std::size_t lines = 0;

  std::string field, value;  // of the header llhttp is reading
};

Result<void> RequestHeadReader::State::take_byte(char c) {
  if (bytes == limits.head_bytes) {
    return fail(Errc::head_too_large, fmt::format("the head is longer than {} bytes", bytes));
  }
  if (bytes == 0) {
    Result<void> first = take_first(c);
    if (!first) return first;
  }
  if (after_cr && c != '\n') return bad("CR without LF");
  if (!after_cr && c == '\n') return bad("LF without CR");
  line.push_back(c);
  Result<void> taken;
  if (c == '\n') {
    after_cr = false;
    taken = end_line();
  } else if (c == '\r') {
    after_cr = true;
  } else {
    taken = take_part(c);
  }
  if (taken) ++bytes;
  return taken;
}

// Clients that were told the wrong kind of proxy are common; tell their users.
Result<void> RequestHeadReader::State::take_first(char c) const {
  switch (c) {
    case 0x16:  // RFC 8446 section 5.1: content type handshake
      return bad("this looks like a TLS ClientHello, but the proxy port speaks plain HTTP");
    case 0x05:  // RFC 1928
      return bad("this looks like a SOCKS5 greeting, but the proxy port speaks HTTP");
    case 0x04: return bad("this looks like a SOCKS4 request, but the proxy port speaks HTTP");
    default: return {};
  }
}

Result<void> RequestHeadReader::State::take_part(char c) {
  switch (part) {
    case Part::method: return take_method(c);
    case Part::target: return take_target(c);
    case Part::version: return take_version(c);
    case Part::line_start:
      if (is_blank(c)) return bad("a header line begins with a blank (obsolete line folding)");
      part = Part::name;
      return take_name(c);
    case Part::name: return take_name(c);
    case Part::value: return take_value(c);
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
  if (head.target.size() == limits.target_bytes) {
    return fail(Errc::head_too_large,
                fmt::format("the target is longer than {} bytes", limits.target_bytes));
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

Result<void> RequestHeadReader::State::take_name(char c) {
  if (c == ':') {
    if (line.size() == 1) return bad("an empty header name");
    part = Part::value;
    return {};
  }
  if (is_blank(c)) return bad("a blank in or after a header name");
  if (!is_token_char(c)) return bad_byte(c, "in a header name");
  return {};
}

Result<void> RequestHeadReader::State::take_value(char c) const {
  // Bytes from 0x80 are obs-text: opaque, passed on (RFC 9110 section 5.5).
  if (is_ascii(c) && !is_visible(c) && !is_blank(c)) return bad_byte(c, "in a header value");
  return {};
}

Result<void> RequestHeadReader::State::end_line() {
  if (part == Part::method && head.method.empty()) {
    // RFC 9112 section 2.2: one empty line before the request line is forgiven.
    if (blank_line_seen) return bad("more than one empty line before the request line");
    blank_line_seen = true;
    line.clear();
    return {};
  }
  Result<void> ended;
  switch (part) {
    case Part::method:
    case Part::target:
    case Part::version: ended = end_request_line(); break;
    case Part::line_start: ended = end_head(); break;
    case Part::name: return bad("a header line without ':'");
    case Part::value:
      if (++lines > limits.headers) {
        return fail(Errc::head_too_large, fmt::format("more than {} headers", limits.headers));
      }
      ended = feed_llhttp();
      break;
  }
  line.clear();
  part = Part::line_start;
  return ended;
}

Result<void> RequestHeadReader::State::end_request_line() {
  if (part == Part::method || head.target.empty()) return bad("a request line without a target");
  // Read even when the version is refused: the record of the refusal names the host.
  Result<void> target = read_target(head);
  if (part == Part::target) {
    return fail(Errc::unsupported_version, "no version in the request line (an HTTP/0.9 request)");
  }
  Result<void> known = read_version(version, head);
  if (!known) return known;
  if (!target) return target;
  return feed_llhttp();
}

Result<void> RequestHeadReader::State::end_head() {
  Result<void> fed = feed_llhttp();
  if (!fed) return fed;
  if (!complete) return bad("llhttp: the head is not complete");
  Result<void> checked = check_headers(head);
  if (checked) done = true;
  return checked;
}

Result<void> RequestHeadReader::State::feed_llhttp() {
  const llhttp_errno_t status = llhttp_execute(&parser, line.data(), line.size());
  // After the head of CONNECT or of an upgrade llhttp stops; so do we.
  if (status == HPE_OK || (status == HPE_PAUSED_UPGRADE && complete)) return {};
  return bad(fmt::format("{} ({})", llhttp_get_error_reason(&parser), llhttp_errno_name(status)));
}

RequestHeadReader::RequestHeadReader(HeadLimits limits) : state_(std::make_unique<State>(limits)) {}

RequestHeadReader::~RequestHeadReader() = default;

Result<std::size_t> RequestHeadReader::feed(std::span<const char> bytes) {
  State& state = *state_;
  if (state.error) return fail(*state.error);
  std::size_t taken = 0;
  while (taken < bytes.size() && !state.done) {
    Result<void> result = state.take_byte(bytes[taken]);
    if (!result) {
      state.error = std::move(result.error());
      return fail(*state.error);
    }
    ++taken;
  }
  return taken;
}

bool RequestHeadReader::done() const { return state_->done; }

// A first byte that was refused counts too.
bool RequestHeadReader::started() const { return state_->bytes > 0 || state_->error.has_value(); }

RequestHead RequestHeadReader::take() { return std::move(state_->head); }

const RequestHead& RequestHeadReader::partial() const { return state_->head; }

}  // namespace warder::http
