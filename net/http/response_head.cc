#include "net/http/response_head.h"

#include <fmt/format.h>

#include <utility>

#include "net/http/head_lines.h"
#include "net/http/head_rules.h"
#include "net/http/llhttp_witness.h"

namespace warder::http {
namespace {

constexpr std::size_t kStatusLength = 3;

}  // namespace

const std::string* ResponseHead::header(std::string_view name) const {
  return find_header(headers, name);
}

struct ResponseHeadReader::State final : HeadLines {
  // Where in the status line the next byte belongs.
  enum class Part { version, status, reason };

  explicit State(HeadLimits limits)
      : HeadLines(
            {Errc::bad_response, Errc::bad_response, "head", limits.head_bytes, limits.headers},
            Begin::start_line),
        reason_limit(limits.target_bytes) {}

  Result<void> on_start_byte(char c) override;
  Result<Next> on_start_line() override;
  Result<void> on_field(Header field) override;
  Result<void> on_end() override;

  Result<void> take_version(char c);
  Result<void> take_status(char c);
  Result<void> take_reason(char c);
  Result<void> read_version();

  std::size_t reason_limit;
  LlhttpWitness llhttp{HTTP_RESPONSE};
  ResponseHead head;
  Part part = Part::version;
  std::string version;
  std::size_t digits = 0;  // of the status so far
};

Result<void> ResponseHeadReader::State::on_start_byte(char c) {
  switch (part) {
    case Part::version: return take_version(c);
    case Part::status: return take_status(c);
    case Part::reason: return take_reason(c);
  }
  return {};
}

// Each byte against "HTTP/d.d": what is no HTTP at all (or HTTP/0.9, which has no head) is known
// as such at its first byte.
Result<void> ResponseHeadReader::State::take_version(char c) {
  constexpr std::string_view kPattern = "HTTP/d.d";
  if (version.size() == kVersionLength) {
    if (c != ' ') return bad_byte(c, "after the version");
    part = Part::status;
    return read_version();
  }
  const char want = kPattern[version.size()];
  if (want == 'd' ? !is_digit(c) : c != want) {
    return bad_byte(c, "in the version: the answer does not begin with HTTP/ and a version");
  }
  version.push_back(c);
  return {};
}

Result<void> ResponseHeadReader::State::read_version() {
  head.major = version[5] - '0';
  head.minor = version[7] - '0';
  if (head.major == 1 && head.minor <= 1) return {};
  return bad(fmt::format("{}: only answers in 1.1 and 1.0 are read", version));
}

Result<void> ResponseHeadReader::State::take_status(char c) {
  if (digits < kStatusLength) {
    if (!is_digit(c) || (digits == 0 && c == '0')) {
      return bad_byte(c, "in the status, which is not three digits from 100 to 999");
    }
    head.status = head.status * 10 + (c - '0');
    ++digits;
    return {};
  }
  if (c != ' ') return bad_byte(c, "after the status");
  part = Part::reason;
  return {};
}

Result<void> ResponseHeadReader::State::take_reason(char c) {
  if (!is_value_char(c)) return bad_byte(c, "in the reason phrase");
  if (head.reason.size() == reason_limit) {
    return bad(fmt::format("the reason phrase is longer than {} bytes", reason_limit));
  }
  head.reason.push_back(c);
  return {};
}

Result<HeadLines::Next> ResponseHeadReader::State::on_start_line() {
  if (part == Part::version) return bad("a status line without a status");
  if (digits < kStatusLength) return bad("a status of less than three digits");
  if (const std::optional<std::string> wrong = llhttp.feed(line())) return bad(*wrong);
  return Next::fields;
}

Result<void> ResponseHeadReader::State::on_field(Header field) {
  if (const std::optional<std::string> wrong = llhttp.feed(line())) return bad(*wrong);
  head.headers.push_back(std::move(field));
  return {};
}

Result<void> ResponseHeadReader::State::on_end() {
  if (const std::optional<std::string> wrong = llhttp.end(line())) return bad(*wrong);
  return {};
}

ResponseHeadReader::ResponseHeadReader(HeadLimits limits)
    : state_(std::make_unique<State>(limits)) {}

ResponseHeadReader::~ResponseHeadReader() = default;

Result<std::size_t> ResponseHeadReader::feed(std::span<const char> bytes) {
  return state_->feed(bytes);
}

bool ResponseHeadReader::done() const { return state_->done(); }

bool ResponseHeadReader::started() const { return state_->started(); }

ResponseHead ResponseHeadReader::take() { return std::move(state_->head); }

}  // namespace warder::http
