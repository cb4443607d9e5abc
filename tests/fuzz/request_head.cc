#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "cuts.h"
#include "net/http/head.h"
#include "require.h"

namespace {

using warder::Errc;
using warder::Result;
using warder::http::Header;
using warder::http::HeadLimits;
using warder::http::RequestForm;
using warder::http::RequestHead;
using warder::http::RequestHeadReader;

// Small, so that inputs reach them.
constexpr HeadLimits kLimits{2048, 256, 16};

struct Outcome {
  bool done = false;
  std::size_t taken = 0;
  std::string error;  // code and detail
  RequestHead head;   // of the request, or what is known of a refused one
};

template <class NextSize>
Outcome read(std::string_view raw, NextSize next_size) {
  RequestHeadReader reader(kLimits);
  Outcome outcome;
  while (!raw.empty() && !reader.done()) {
    const std::string_view piece = raw.substr(0, next_size());
    const Result<std::size_t> taken = reader.feed(piece);
    if (!taken) {
      outcome.error = warder::describe(taken.error());
      break;
    }
    REQUIRE_THAT(*taken == piece.size() || (reader.done() && *taken < piece.size()));
    outcome.taken += *taken;
    raw.remove_prefix(*taken);
  }
  outcome.done = reader.done();
  outcome.head = outcome.done ? reader.take() : reader.partial();
  return outcome;
}

bool same(const Header& a, const Header& b) { return a.name == b.name && a.value == b.value; }

bool same(const RequestHead& a, const RequestHead& b) {
  return a.method == b.method && a.target == b.target && a.form == b.form && a.minor == b.minor &&
         a.major == b.major && a.scheme == b.scheme &&
         a.authority.has_value() == b.authority.has_value() &&
         (!a.authority || a.authority->text() == b.authority->text()) &&
         std::equal(a.headers.begin(), a.headers.end(), b.headers.begin(), b.headers.end(),
                    [](const Header& x, const Header& y) { return same(x, y); });
}

std::string written(const RequestHead& head) {
  std::string text = head.method + " " + head.target + " HTTP/1." + std::to_string(head.minor);
  for (const Header& header : head.headers) text += "\r\n" + header.name + ": " + header.value;
  return text + "\r\n\r\n";
}

void check_head(const RequestHead& head) {
  const bool names_host = head.form == RequestForm::connect || head.form == RequestForm::absolute;
  REQUIRE_THAT(head.authority.has_value() == names_host);
  REQUIRE_THAT(!head.authority || head.authority->port.has_value());
  REQUIRE_THAT((head.form == RequestForm::connect) == (head.method == "CONNECT"));
  REQUIRE_THAT(head.major == 1 && (head.minor == 0 || head.minor == 1));
  REQUIRE_THAT(head.minor == 0 || head.header("host") != nullptr);
  REQUIRE_THAT(head.header("transfer-encoding") == nullptr ||
               head.header("content-length") == nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string raw(reinterpret_cast<const char*>(data), size);
  const Outcome whole = read(raw, [&] { return raw.size(); });
  REQUIRE_THAT(whole.taken <= kLimits.head_bytes);
  REQUIRE_THAT(whole.head.target.size() <= kLimits.target_bytes);
  REQUIRE_THAT(whole.head.headers.size() <= kLimits.headers);

  // However the bytes are cut, the result is the same.
  Cuts cuts(static_cast<std::uint32_t>(std::hash<std::string>{}(raw)));
  const Outcome bytewise = read(raw, [] { return std::size_t{1}; });
  const Outcome pieces = read(raw, [&] { return cuts.next(); });
  for (const Outcome* cut : {&bytewise, &pieces}) {
    REQUIRE_THAT(cut->done == whole.done && cut->error == whole.error);
    REQUIRE_THAT(same(cut->head, whole.head));
    // Before an error, a piece that has it is not taken at all, so only good inputs compare.
    REQUIRE_THAT(!whole.error.empty() || cut->taken == whole.taken);
  }
  if (!whole.done) return 0;

  // What was understood, written down plainly, is understood alike.
  check_head(whole.head);
  const std::string text = written(whole.head);
  if (text.size() > kLimits.head_bytes) return 0;  // "a:b" became "a: b"
  const Outcome again = read(text, [&] { return text.size(); });
  REQUIRE_THAT(again.done && again.taken == text.size() && same(again.head, whole.head));
  return 0;
}
