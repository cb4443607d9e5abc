#include "net/http/forwarding.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/http/field_rules.h"
#include "net/http/head_rules.h"
#include "require.h"

namespace {

using warder::Result;
using warder::http::BodyFraming;
using warder::http::client_framing;
using warder::http::count_headers;
using warder::http::ForwardedRequest;
using warder::http::Framing;
using warder::http::Header;
using warder::http::RequestForm;
using warder::http::RequestHead;
using warder::http::RequestHeadReader;
using warder::http::ResponseHead;
using warder::http::ResponseHeadReader;
using warder::http::same_name;

constexpr std::string_view kPseudonym = "warder-under-test";

// The whole text is one head; nothing is left and nothing is missing.
template <class Head, class Reader>
bool read(std::string_view text, Reader& reader, Head& head) {
  const Result<std::size_t> taken = reader.feed(text);
  if (!taken || !reader.done()) return false;
  head = reader.take();
  return *taken == text.size();
}

bool is_ours(const std::string& via, int minor) {
  return via == "1." + std::to_string(minor) + " " + std::string(kPseudonym);
}

// Fields with a meaning for one connection only, but for those that we write anew.
void check_hop_by_hop(const RequestHead& head, bool websocket) {
  for (const Header& header : head.headers) {
    if (!warder::http::is_hop_by_hop(header.name)) continue;
    if (same_name(header.name, "transfer-encoding")) {
      REQUIRE_THAT(header.value == "chunked");
    } else if (same_name(header.name, "te")) {
      REQUIRE_THAT(header.value == "trailers");
    } else if (same_name(header.name, "upgrade")) {
      REQUIRE_THAT(websocket && header.value == "websocket");
    } else {
      REQUIRE_THAT(header.name == "Connection");
      REQUIRE_THAT(header.value == "TE" || header.value == "Upgrade" ||
                   header.value == "TE, Upgrade");
    }
  }
}

void check_request(const RequestHead& head) {
  const Result<BodyFraming> framing = warder::http::request_framing(head);
  REQUIRE_THAT(framing.has_value());
  const Result<ForwardedRequest> forwarded =
      warder::http::forward_request(head, *framing, {kPseudonym, "", true, false});
  if (!forwarded) return;
  REQUIRE_THAT(head.form == RequestForm::absolute && head.scheme == "http");
  REQUIRE_THAT(forwarded->answer_here == forwarded->head.empty());
  if (forwarded->answer_here) return;

  RequestHead origin;
  // What is added to a head at its limit does not count against it.
  RequestHeadReader reader({1U << 20, 1U << 20, 1U << 10});
  REQUIRE_THAT(read(std::string_view(forwarded->head), reader, origin));
  REQUIRE_THAT(origin.method == head.method && origin.major == 1 && origin.minor == 1);
  REQUIRE_THAT(origin.form == RequestForm::origin || origin.form == RequestForm::asterisk);
  REQUIRE_THAT(origin.target == warder::http::origin_form(head));
  REQUIRE_THAT(same_name(origin.headers.front().name, "host"));
  const Result<warder::http::Authority> host =
      warder::http::parse_authority(origin.headers.front().value);
  REQUIRE_THAT(host.has_value() && host->host == head.authority->host);
  REQUIRE_THAT(host->port.value_or(80) == head.authority->port);

  const Result<BodyFraming> again = warder::http::request_framing(origin);
  REQUIRE_THAT(again.has_value() && *again == *framing);
  for (const Header& header : origin.headers) {
    const bool framed = same_name(header.name, "content-length") ||
                        same_name(header.name, "host") ||
                        !warder::http::is_written_anew(header.name);
    REQUIRE_THAT(framed && !warder::http::is_method_override(header.name));
  }
  REQUIRE_THAT(count_headers(origin.headers, "connection") <= 1);
  check_hop_by_hop(origin, forwarded->websocket);
  REQUIRE_THAT(std::any_of(origin.headers.begin(), origin.headers.end(), [&](const Header& header) {
    return header.name == "Via" && is_ours(header.value, head.minor);
  }));
  // And it would be known if it came back.
  origin.form = RequestForm::absolute;
  origin.scheme = "http";
  const Result<ForwardedRequest> loop =
      warder::http::forward_request(origin, *framing, {kPseudonym, "/", false, false});
  REQUIRE_THAT(!loop);
}

void check_response(const ResponseHead& head) {
  const Result<BodyFraming> framing = warder::http::response_framing(head, "GET");
  if (!framing) return;
  for (const int minor : {0, 1}) {
    warder::http::ResponseOptions options;
    options.client_minor = minor;
    options.framing = client_framing(*framing, minor);
    options.pseudonym = kPseudonym;
    const std::string text = warder::http::forward_response_head(head, options);
    ResponseHead client;
    ResponseHeadReader reader({1U << 20, 1U << 20, 1U << 10});
    REQUIRE_THAT(read(std::string_view(text), reader, client));
    REQUIRE_THAT(client.status == head.status && client.reason == head.reason);
    const Result<BodyFraming> again = warder::http::response_framing(client, "GET");
    REQUIRE_THAT(again.has_value() && *again == options.framing);
    REQUIRE_THAT(count_headers(client.headers, "connection") <= 1);
    REQUIRE_THAT(minor == 1 || client.header("transfer-encoding") == nullptr);
    for (const Header& header : client.headers) {
      REQUIRE_THAT(!warder::http::is_our_own(header.name));
      const bool hop = warder::http::is_hop_by_hop(header.name);
      REQUIRE_THAT(!hop || header.name == "Connection" || header.name == "Transfer-Encoding");
    }
  }
}

}  // namespace

// Any head that is accepted is still one after it was rewritten, and says the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view raw(reinterpret_cast<const char*>(data), size);
  RequestHead request;
  RequestHeadReader requests({2048, 256, 16});
  if (read(raw, requests, request)) check_request(request);
  ResponseHead response;
  ResponseHeadReader responses({2048, 256, 16});
  if (read(raw, responses, response)) check_response(response);
  return 0;
}
