#include "net/http/response_head.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cuts.h"
#include "net/http/body.h"
#include "require.h"

namespace {

using warder::Errc;
using warder::Result;
using warder::http::BodyFraming;
using warder::http::Framing;
using warder::http::Header;
using warder::http::HeadLimits;
using warder::http::ResponseHead;
using warder::http::ResponseHeadReader;

// Small, so that inputs reach them.
constexpr HeadLimits kLimits{2048, 64, 16};

struct Outcome {
  bool done = false;
  std::size_t taken = 0;
  std::string error;  // code and detail
  ResponseHead head;
};

template <class NextSize>
Outcome read(std::string_view raw, NextSize next_size) {
  ResponseHeadReader reader(kLimits);
  Outcome outcome;
  while (!raw.empty() && !reader.done()) {
    const std::string_view piece = raw.substr(0, next_size());
    const Result<std::size_t> taken = reader.feed(piece);
    if (!taken) {
      REQUIRE_THAT(taken.error().code == Errc::bad_response);
      outcome.error = warder::describe(taken.error());
      return outcome;
    }
    REQUIRE_THAT(*taken == piece.size() || (reader.done() && *taken < piece.size()));
    outcome.taken += *taken;
    raw.remove_prefix(*taken);
  }
  outcome.done = reader.done();
  if (outcome.done) outcome.head = reader.take();
  return outcome;
}

bool same(const ResponseHead& a, const ResponseHead& b) {
  return a.status == b.status && a.reason == b.reason && a.major == b.major && a.minor == b.minor &&
         std::equal(a.headers.begin(), a.headers.end(), b.headers.begin(), b.headers.end(),
                    [](const Header& x, const Header& y) {
                      return x.name == y.name && x.value == y.value;
                    });
}

std::string written(const ResponseHead& head) {
  std::string text = "HTTP/1." + std::to_string(head.minor) + " " + std::to_string(head.status) +
                     " " + head.reason;
  for (const Header& header : head.headers) text += "\r\n" + header.name + ": " + header.value;
  return text + "\r\n\r\n";
}

void check_framing(const ResponseHead& head) {
  REQUIRE_THAT(head.status >= 100 && head.status <= 999);
  REQUIRE_THAT(head.major == 1 && (head.minor == 0 || head.minor == 1));
  const Result<BodyFraming> of_head = warder::http::response_framing(head, "HEAD");
  REQUIRE_THAT(of_head && of_head->kind == Framing::none);
  const Result<BodyFraming> framing = warder::http::response_framing(head, "GET");
  if (!framing) return;
  const bool length = head.header("content-length") != nullptr;
  const bool coding = head.header("transfer-encoding") != nullptr;
  if (framing->kind == Framing::length) REQUIRE_THAT(length && !coding);
  if (framing->kind == Framing::chunked) REQUIRE_THAT(coding && !length && head.minor == 1);
  if (framing->kind == Framing::until_close) REQUIRE_THAT(!coding && !length);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string raw(reinterpret_cast<const char*>(data), size);
  const Outcome whole = read(raw, [&] { return raw.size(); });
  REQUIRE_THAT(whole.taken <= kLimits.head_bytes);

  // However the bytes are cut, the result is the same.
  Cuts cuts(static_cast<std::uint32_t>(std::hash<std::string>{}(raw)));
  const Outcome bytewise = read(raw, [] { return std::size_t{1}; });
  const Outcome pieces = read(raw, [&] { return cuts.next(); });
  for (const Outcome* cut : {&bytewise, &pieces}) {
    REQUIRE_THAT(cut->done == whole.done && cut->error == whole.error);
    REQUIRE_THAT(same(cut->head, whole.head));
    REQUIRE_THAT(!whole.error.empty() || cut->taken == whole.taken);
  }
  if (!whole.done) return 0;

  // What was understood, written down plainly, is understood alike.
  check_framing(whole.head);
  const std::string text = written(whole.head);
  if (text.size() > kLimits.head_bytes) return 0;  // "a:b" became "a: b"
  const Outcome again = read(text, [&] { return text.size(); });
  REQUIRE_THAT(again.done && again.taken == text.size() && same(again.head, whole.head));
  return 0;
}
