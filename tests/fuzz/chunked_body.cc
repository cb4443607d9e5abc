#include <llhttp.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cuts.h"
#include "net/http/body.h"
#include "require.h"

namespace {

using warder::Errc;
using warder::Result;
using warder::http::BodyFraming;
using warder::http::BodyLimits;
using warder::http::BodyReader;
using warder::http::Framing;
using warder::http::Header;

// Small, so that inputs reach them.
constexpr BodyLimits kLimits{128, 256, 8};

struct Outcome {
  bool done = false;
  std::size_t taken = 0;
  std::string error;  // code and detail
  std::string payload;
  std::vector<Header> trailers;
};

Outcome read(std::string_view raw, const std::function<std::size_t()>& next_size) {
  BodyReader reader(BodyFraming{Framing::chunked, 0}, kLimits, Errc::bad_request);
  Outcome outcome;
  while (!raw.empty() && !reader.done()) {
    std::string_view piece = raw.substr(0, next_size());
    while (!piece.empty() && !reader.done()) {
      const Result<BodyReader::Piece> got = reader.feed(piece);
      if (!got) {
        REQUIRE_THAT(got.error().code == Errc::bad_request);
        outcome.error = warder::describe(got.error());
        return outcome;
      }
      REQUIRE_THAT(got->used > 0 && got->used <= piece.size());
      // Payload is the end of what was used.
      REQUIRE_THAT(got->data.empty() ||
                   got->data.data() + got->data.size() == piece.data() + got->used);
      outcome.payload += got->data;
      outcome.taken += got->used;
      piece.remove_prefix(got->used);
      raw.remove_prefix(got->used);
    }
  }
  outcome.done = reader.done();
  REQUIRE_THAT(reader.finish().has_value() == outcome.done);
  outcome.trailers = reader.take_trailers();
  return outcome;
}

bool same(const std::vector<Header>& a, const std::vector<Header>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Header& x, const Header& y) {
    return x.name == y.name && x.value == y.value;
  });
}

// What llhttp, as strict as it is by default, makes of the same bytes.
Outcome read_with_llhttp(std::string_view raw) {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_body = [](llhttp_t* parser, const char* at, std::size_t length) {
    static_cast<Outcome*>(parser->data)->payload.append(at, length);
    return 0;
  };
  // Stops there: what follows is another message's.
  settings.on_message_complete = [](llhttp_t* parser) {
    static_cast<Outcome*>(parser->data)->done = true;
    return static_cast<int>(HPE_PAUSED);
  };
  llhttp_t parser;
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  Outcome outcome;
  parser.data = &outcome;
  constexpr std::string_view kHead = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  REQUIRE_THAT(llhttp_execute(&parser, kHead.data(), kHead.size()) == HPE_OK);
  const llhttp_errno_t status = llhttp_execute(&parser, raw.data(), raw.size());
  if (status == HPE_PAUSED) {
    outcome.taken = static_cast<std::size_t>(llhttp_get_error_pos(&parser) - raw.data());
  } else if (status != HPE_OK) {
    outcome.error = llhttp_get_error_reason(&parser);
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string raw(reinterpret_cast<const char*>(data), size);
  const Outcome whole = read(raw, [&] { return raw.size(); });

  // However the bytes are cut, the result is the same.
  Cuts cuts(static_cast<std::uint32_t>(std::hash<std::string>{}(raw)));
  const Outcome bytewise = read(raw, [] { return std::size_t{1}; });
  const Outcome pieces = read(raw, [&] { return cuts.next(); });
  for (const Outcome* cut : {&bytewise, &pieces}) {
    REQUIRE_THAT(cut->done == whole.done && cut->error == whole.error);
    REQUIRE_THAT(cut->payload == whole.payload && same(cut->trailers, whole.trailers));
    REQUIRE_THAT(!whole.error.empty() || cut->taken == whole.taken);
  }
  if (!whole.error.empty()) return 0;

  // llhttp is content with what we accept, and ends it in the same place.
  const Outcome other = read_with_llhttp(std::string_view(raw).substr(0, whole.taken));
  REQUIRE_THAT(other.payload == whole.payload);
  // Of what is not over yet we may not have read the line that it objects to.
  if (!whole.done) return 0;
  REQUIRE_THAT(other.error.empty() && other.done);
  REQUIRE_THAT(other.taken == whole.taken);

  // What was understood, written anew, is understood alike.
  std::string text;
  for (std::string_view rest = whole.payload; !rest.empty();) {
    const std::string_view chunk = rest.substr(0, cuts.next());
    warder::http::append_chunk(text, chunk);
    rest.remove_prefix(chunk.size());
  }
  warder::http::append_last_chunk(text, whole.trailers);
  const Outcome again = read(text, [&] { return cuts.next(); });
  if (again.error.find("longer than") != std::string::npos) return 0;  // "a:b" became "a: b"
  REQUIRE_THAT(again.done && again.taken == text.size());
  REQUIRE_THAT(again.payload == whole.payload && same(again.trailers, whole.trailers));
  return 0;
}
