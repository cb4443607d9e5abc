#include "net/http/forwarding.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace warder::http {
namespace {

const std::string kEnd = "Via: 1.1 us\r\n\r\n";

RequestHead parsed(std::string_view raw) {
  RequestHeadReader reader({});
  const Result<std::size_t> taken = reader.feed(raw);
  INFO(raw << (taken ? "" : taken.error().detail));
  REQUIRE(taken.has_value());
  REQUIRE(reader.done());
  return reader.take();
}

Result<ForwardedRequest> forward(std::string_view raw,
                                 ForwardOptions options = {"us", "", false, false}) {
  const RequestHead head = parsed(raw);
  return forward_request(head, request_framing(head).value(), options);
}

// The head as it goes on, flags in brackets before it; or the error.
std::string text(const Result<ForwardedRequest>& request) {
  if (!request) return describe(request.error());
  std::string flags;
  if (request->websocket) flags += "[websocket]";
  if (request->answer_here) flags += "[answer here]";
  if (request->expects_continue) flags += "[expects continue]";
  return flags + request->head;
}

// Of "GET http://a.example/ HTTP/1.1" with these fields: all after the Host line.
std::string fields(std::string_view lines, std::string_view method = "GET", int minor = 1,
                   ForwardOptions options = {"us", "", false, false}) {
  const std::string raw = std::string(method) + " http://a.example/ HTTP/1." +
                          std::to_string(minor) + "\r\nHost: a.example\r\n" + std::string(lines) +
                          "\r\n";
  std::string got = text(forward(raw, options));
  const std::string start = std::string(method) + " / HTTP/1.1\r\nHost: a.example\r\n";
  const std::size_t at = got.find(start);
  if (at != std::string::npos) got.erase(at, start.size());
  return got;
}

TEST_CASE("request lines and Host as an origin gets them", "[http]") {
  struct Case {
    std::string line;
    std::string want;
  };
  const std::vector<Case> cases{
      {"GET http://a.example/x?y=z", "GET /x?y=z HTTP/1.1\r\nHost: a.example"},
      {"GET http://A.Example.:80/", "GET / HTTP/1.1\r\nHost: a.example"},
      {"GET http://a.example:8080", "GET / HTTP/1.1\r\nHost: a.example:8080"},
      {"GET HTTP://a.example:443?q=http://b/", "GET /?q=http://b/ HTTP/1.1\r\nHost: a.example:443"},
      {"GET http://[2001:DB8::1]/", "GET / HTTP/1.1\r\nHost: [2001:db8::1]"},
      {"GET http://[::1]:8080/", "GET / HTTP/1.1\r\nHost: [::1]:8080"},
      {"OPTIONS http://a.example", "OPTIONS * HTTP/1.1\r\nHost: a.example"},
      {"OPTIONS http://a.example:81", "OPTIONS * HTTP/1.1\r\nHost: a.example:81"},
      {"OPTIONS http://a.example/", "OPTIONS / HTTP/1.1\r\nHost: a.example"},
      {"OPTIONS http://a.example?x", "OPTIONS /?x HTTP/1.1\r\nHost: a.example"},
      {"GET http://a.example//b/../c", "GET //b/../c HTTP/1.1\r\nHost: a.example"},
  };
  for (const Case& test : cases) {
    INFO(test.line);
    CHECK(text(forward(test.line + " HTTP/1.0\r\n\r\n")) == test.want + "\r\nVia: 1.0 us\r\n\r\n");
  }
  // Whatever else the client sends after it, Host is first, and once.
  CHECK(text(forward("GET http://a.example/ HTTP/1.1\r\nX: y\r\nHost: A.EXAMPLE:80\r\n\r\n")) ==
        "GET / HTTP/1.1\r\nHost: a.example\r\nX: y\r\n" + kEnd);
}

TEST_CASE("the target that was decided on is the one that is sent", "[http]") {
  CHECK(text(forward("GET http://a.example/%61 HTTP/1.0\r\n\r\n", {"us", "/a", false, false})) ==
        "GET /a HTTP/1.1\r\nHost: a.example\r\nVia: 1.0 us\r\n\r\n");
  CHECK(origin_form(parsed("GET /a HTTP/1.0\r\n\r\n")) == "/a");
  CHECK(origin_form(parsed("OPTIONS * HTTP/1.0\r\n\r\n")) == "*");
}

TEST_CASE("only http URLs are forwarded", "[http]") {
  for (const std::string_view line : {"GET https://a/", "GET /", "OPTIONS *", "CONNECT a:1"}) {
    CHECK(text(forward(std::string(line) + " HTTP/1.0\r\n\r\n")) ==
          "bad_request: only a URL of scheme http can be forwarded");
  }
}

TEST_CASE("fields that end at the proxy, and fields that go on", "[http]") {
  struct Case {
    std::string lines;
    std::string want;
  };
  const std::vector<Case> cases{
      {"", ""},
      {"Accept: */*\r\nX-A:  b \r\nCookie: c=d\r\nX-A: e\r\n",
       "Accept: */*\r\nX-A: b\r\nCookie: c=d\r\nX-A: e\r\n"},
      {"X: \xff\xc3\xa9\r\nEmpty:\r\n", "X: \xff\xc3\xa9\r\nEmpty: \r\n"},
      {"Connection: close\r\n", ""},
      {"Connection: keep-alive, X-Hop ,\t,y-hop\r\nX-Hop: a\r\nY-HOP: b\r\nZ: c\r\n", "Z: c\r\n"},
      {"Connection: a\r\nA: 1\r\nB: 2\r\nconnection: b\r\n", ""},
      {"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n", ""},
      {"Proxy-Authorization: Basic x\r\nProxy-Foo: y\r\nproxy: http://evil/\r\n", ""},
      {"Proxy_Authorization: Basic x\r\nKeep_Alive: y\r\nHTTP2_Settings: z\r\n", ""},
      {"Content_Length: 5\r\nTransfer_Encoding: chunked\r\ntransfer-encoding_: x\r\n",
       "transfer-encoding_: x\r\n"},
      {"Upgrade: h2c\r\nHTTP2-Settings: AAA\r\nConnection: Upgrade, HTTP2-Settings\r\n", ""},
      {"Trailer: X-Sum\r\n", "Trailer: X-Sum\r\n"},
      {"X-HTTP-Method-Override: DELETE\r\n", "X-HTTP-Method-Override: DELETE\r\n"},
      {"Max-Forwards: 0\r\n", "Max-Forwards: 0\r\n"},
  };
  for (const Case& test : cases) {
    INFO(test.lines);
    CHECK(fields(test.lines) == test.want + kEnd);
  }
}

TEST_CASE("TE keeps only trailers", "[http]") {
  const std::string kept = "Via: 1.1 us\r\nTE: trailers\r\nConnection: TE\r\n\r\n";
  CHECK(fields("TE: trailers\r\nConnection: TE\r\n") == kept);
  CHECK(fields("TE: gzip;q=0.5, Trailers\r\n") == kept);
  CHECK(fields("TE: gzip\r\nConnection: TE\r\n") == kEnd);
  CHECK(fields("TE: trailers\r\nConnection: TE\r\n", "GET", 1, {"us", "", false, true}) ==
        "Via: 1.1 us\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n");
  CHECK(fields("", "GET", 1, {"us", "", false, true}) ==
        "Via: 1.1 us\r\nConnection: close\r\n\r\n");
}

TEST_CASE("Connection removes no field of the last recipient's", "[http]") {
  for (const std::string name : {"Host", "content-length", "Content_Length", "Transfer-Encoding",
                                 "Content-Type", "Authorization", "Cookie", "Via", "Range"}) {
    CHECK(fields("Connection: close, " + name + "\r\n") ==
          "bad_request: Connection names " + name + ", which is for the last recipient");
  }
  for (const std::string value : {"a b", "\"x\"", "a;b", "close, (x", "\xc3\xa9"}) {
    CHECK(fields("Connection: " + value + "\r\n") ==
          "bad_request: Connection is no list of tokens");
  }
}

TEST_CASE("methods the origin would see in a header", "[http]") {
  const std::string lines =
      "X-HTTP-Method-Override: PUT\r\nx-http-method: PUT\r\nX_Method_Override: PUT\r\nX-Method: "
      "z\r\n";
  CHECK(fields(lines, "GET", 1, {"us", "", true, false}) == "X-Method: z\r\n" + kEnd);
  CHECK(fields(lines) == lines + kEnd);
}

TEST_CASE("framing is written from what was understood", "[http]") {
  CHECK(fields("content-LENGTH: 007\r\n", "POST") == "Content-Length: 7\r\n" + kEnd);
  CHECK(fields("Content-Length: 0\r\n", "POST") == "Content-Length: 0\r\n" + kEnd);
  CHECK(fields("Transfer-Encoding: CHUNKED\r\n", "POST") ==
        "Transfer-Encoding: chunked\r\n" + kEnd);
  CHECK(fields("", "POST") == kEnd);
}

TEST_CASE("Expect goes on where it means something", "[http]") {
  const std::string length = "Content-Length: 5\r\n";
  CHECK(fields("Expect: 100-Continue\r\n" + length, "PUT") ==
        "[expects continue]Expect: 100-continue\r\n" + length + kEnd);
  CHECK(fields("Expect: 100-continue, 100-continue\r\nTransfer-Encoding: chunked\r\n", "PUT") ==
        "[expects continue]Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n" + kEnd);
  CHECK(fields("Expect: 100-continue\r\n", "PUT") == kEnd);
  CHECK(fields("Expect:\r\n" + length, "PUT") == length + kEnd);
  CHECK(fields("Expect: 100-continue\r\n" + length, "PUT", 0) == length + "Via: 1.0 us\r\n\r\n");
  CHECK(fields("Expect: x\r\n" + length, "PUT", 0) == length + "Via: 1.0 us\r\n\r\n");
  CHECK(fields("Expect: 200-ok\r\n") == "unknown_expectation: Expect: 200-ok");
  CHECK(fields("Expect: 100-continue, x\r\n") == "unknown_expectation: Expect: x");
}

TEST_CASE("Max-Forwards counts for TRACE and OPTIONS", "[http]") {
  CHECK(fields("Max-Forwards: 10\r\n", "TRACE") == "Max-Forwards: 9\r\n" + kEnd);
  CHECK(fields("max-forwards: 001\r\n", "OPTIONS") == "Max-Forwards: 0\r\n" + kEnd);
  CHECK(fields("Max-Forwards: 0\r\n", "TRACE") == "[answer here]");
  CHECK(fields("Max-Forwards: 000\r\n", "OPTIONS") == "[answer here]");
  CHECK(fields("Max-Forwards: x\r\n", "GET") == "Max-Forwards: x\r\n" + kEnd);
  const std::string bad = "bad_request: Max-Forwards is not one number of at most nine digits";
  for (const std::string value : {"", "-1", "+1", "1, 2", "x", "1000000000", "0x1"}) {
    CHECK(fields("Max-Forwards: " + value + "\r\n", "TRACE") == bad);
  }
  CHECK(fields("Max-Forwards: 1\r\nMax-Forwards: 1\r\n", "OPTIONS") == bad);
  CHECK(fields("Content-Length: 1\r\n", "TRACE") == "bad_request: TRACE with a body");
}

TEST_CASE("a request that comes back is known by Via", "[http]") {
  const std::string loop =
      "forwarding_loop: Via says that the request has passed through here before";
  for (const std::string via :
       {"1.1 us", "1.1 US", "HTTP/1.1\tus", "1.0 a, 1.1 us", "1.1 us (comment)", "1.1 us(x)",
        "1.1 a (b, c), 1.1 us", "1.1 a (\\), 1.1 us"}) {
    INFO(via);
    const bool hidden = via == "1.1 a (\\), 1.1 us";  // all of it a comment
    CHECK((fields("Via: " + via + "\r\n") == loop) != hidden);
  }
  CHECK(fields("Via: 1.1 a\r\nVia: 1.1 us\r\n") == loop);
  for (const std::string via : {"1.1 usx", "us", "1.1 a (1.1 us)", "1.1 a (b, 1.1 us)", ""}) {
    INFO(via);
    CHECK(fields("Via: " + via + "\r\n") == "Via: " + via + "\r\n" + kEnd);
  }
}

TEST_CASE("only a WebSocket handshake keeps Upgrade", "[http]") {
  const std::string good = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  const std::string kept =
      "[websocket]Via: 1.1 us\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
  CHECK(fields(good) == kept);
  CHECK(fields("Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n") == kept);
  CHECK(fields(good + "Sec-WebSocket-Key: x\r\n").find("Sec-WebSocket-Key: x\r\n") !=
        std::string::npos);
  CHECK(fields(good, "GET", 0) == "Via: 1.0 us\r\n\r\n");
  CHECK(fields(good, "POST") == kEnd);
  CHECK(fields(good + "Content-Length: 1\r\n") == "Content-Length: 1\r\n" + kEnd);
  CHECK(fields(good + "Transfer-Encoding: chunked\r\n") == "Transfer-Encoding: chunked\r\n" + kEnd);
  CHECK(fields("Upgrade: websocket\r\n") == kEnd);
  CHECK(fields("Connection: upgrade\r\n") == kEnd);
  for (const std::string upgrade :
       {"websocket, h2c", "h2c", "websocket/13", "\"websocket\"", "websocket, websocket"}) {
    CHECK(fields("Connection: upgrade\r\nUpgrade: " + upgrade + "\r\n") == kEnd);
  }
  CHECK(fields("Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n") == kEnd);
}

struct Answer {
  int status = 200;
  std::vector<Header> headers;
  int minor = 1;
};

std::string answered(const Answer& answer, ResponseOptions options) {
  ResponseHead head;
  head.status = answer.status;
  head.reason = "Why";
  head.minor = answer.minor;
  head.headers = answer.headers;
  options.pseudonym = "us";
  const std::string text = forward_response_head(head, options);
  const std::string start = "HTTP/1.1 " + std::to_string(answer.status) + " Why\r\n";
  CHECK(text.starts_with(start));
  CHECK(text.ends_with("\r\n\r\n"));
  return text.substr(start.size(), text.size() - start.size() - 2);
}

ResponseOptions to_client(BodyFraming framing, int minor = 1, bool keep_alive = true) {
  ResponseOptions options;
  options.client_minor = minor;
  options.framing = framing;
  options.keep_alive = keep_alive;
  return options;
}

constexpr BodyFraming kFive{Framing::length, 5};
constexpr BodyFraming kChunkedAnswer{Framing::chunked, 0};
constexpr BodyFraming kAnswerUntilClose{Framing::until_close, 0};
const std::string kVia = "Via: 1.1 us\r\n";

TEST_CASE("the head of an answer as the client gets it", "[http]") {
  CHECK(answered({200, {{"A", "b"}, {"content-length", "5"}, {"Set-Cookie", "c"}}},
                 to_client(kFive)) == "A: b\r\nSet-Cookie: c\r\nContent-Length: 5\r\n" + kVia);
  CHECK(answered({200, {}, 0}, to_client(kChunkedAnswer)) ==
        "Transfer-Encoding: chunked\r\nVia: 1.0 us\r\n");
  CHECK(answered({200, {{"Via", "1.0 x"}}}, to_client(kFive)) ==
        "Via: 1.0 x\r\nContent-Length: 5\r\n" + kVia);
}

TEST_CASE("no reason phrase is none, not somebody else's", "[http]") {
  ResponseHead head;
  head.status = 299;
  CHECK(forward_response_head(head, to_client(kChunkedAnswer)).starts_with("HTTP/1.1 299 \r\n"));
}

TEST_CASE("fields of an origin that end at the proxy", "[http]") {
  for (const Header& field : std::vector<Header>{{"Connection", "keep-alive"},
                                                 {"Keep-Alive", "x"},
                                                 {"Proxy-Status", "origin"},
                                                 {"Proxy-Authenticate", "Basic"},
                                                 {"Proxy-Connection", "close"},
                                                 {"Upgrade", "h2c"},
                                                 {"TE", "x"},
                                                 {"Transfer-Encoding", "chunked"},
                                                 {"Content-Length", "7"},
                                                 {"Warder-Request-Id", "forged"},
                                                 {"warder-decision-id", "forged"}}) {
    INFO(field.name);
    CHECK(answered({200, {field}}, to_client(kFive)) == "Content-Length: 5\r\n" + kVia);
  }
  CHECK(answered({200, {{"X-Hop", "a"}, {"Set-Cookie", "b"}, {"Connection", "x-hop, set-cookie"}}},
                 to_client(kFive)) == "Set-Cookie: b\r\nContent-Length: 5\r\n" + kVia);
}

TEST_CASE("fields of our own in an answer", "[http]") {
  const std::vector<Header> own{{"Warder-Request-Id", "1"}};
  ResponseOptions options = to_client(kFive);
  options.own = own;
  options.date = "Now";
  CHECK(answered({200, {}}, options) ==
        "Date: Now\r\nContent-Length: 5\r\n" + kVia + "Warder-Request-Id: 1\r\n");
  CHECK(answered({200, {{"date", "Then"}}}, options) ==
        "date: Then\r\nContent-Length: 5\r\n" + kVia + "Warder-Request-Id: 1\r\n");
  options.framing = {};
  CHECK(answered({103, {}}, options) == kVia + "Warder-Request-Id: 1\r\n");
}

TEST_CASE("what the client's connection becomes", "[http]") {
  const std::string rest = "Content-Length: 5\r\n" + kVia;
  CHECK(answered({}, to_client(kFive, 1, true)) == rest);
  CHECK(answered({}, to_client(kFive, 1, false)) == rest + "Connection: close\r\n");
  CHECK(answered({}, to_client(kFive, 0, true)) == rest + "Connection: keep-alive\r\n");
  CHECK(answered({}, to_client(kFive, 0, false)) == rest + "Connection: close\r\n");
  CHECK(answered({}, to_client(kAnswerUntilClose, 0, true)) == kVia + "Connection: close\r\n");
  CHECK(answered({100, {}}, to_client({}, 1, false)) == kVia);
  ResponseOptions socket = to_client({}, 1, true);
  socket.websocket = true;
  CHECK(answered({101, {{"Upgrade", "websocket"}, {"Connection", "upgrade"}, {"X", "y"}}},
                 socket) == "X: y\r\n" + kVia + "Upgrade: websocket\r\nConnection: Upgrade\r\n");
}

TEST_CASE("the length that an answer without a body may speak of", "[http]") {
  const std::vector<Header> five{{"Content-Length", "05"}};
  CHECK(answered({200, five}, to_client({})) == "Content-Length: 5\r\n" + kVia);
  CHECK(answered({304, five}, to_client({})) == "Content-Length: 5\r\n" + kVia);
  CHECK(answered({204, five}, to_client({})) == kVia);
  CHECK(answered({103, five}, to_client({})) == kVia);
  CHECK(answered({200, {}}, to_client({})) == kVia);
  for (const std::vector<Header>& headers :
       std::vector<std::vector<Header>>{{{"Content-Length", "+5"}},
                                        {{"Content-Length", "5"}, {"Content-Length", "6"}},
                                        {{"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}},
                                        {{"Transfer-Encoding", "chunked"}}}) {
    CHECK(answered({200, headers}, to_client({})) == kVia);
  }
}

TEST_CASE("bodies without a known length as each client can read them", "[http]") {
  CHECK(client_framing(kFive, 0) == kFive);
  CHECK(client_framing(BodyFraming{}, 0) == BodyFraming{});
  CHECK(client_framing(kChunkedAnswer, 1) == kChunkedAnswer);
  CHECK(client_framing(kAnswerUntilClose, 1) == kChunkedAnswer);
  CHECK(client_framing(kChunkedAnswer, 0) == kAnswerUntilClose);
  CHECK(client_framing(kAnswerUntilClose, 0) == kAnswerUntilClose);
}

TEST_CASE("which connections stay", "[http]") {
  const auto client = [](int minor, std::vector<Header> headers) {
    RequestHead head;
    head.minor = minor;
    head.headers = std::move(headers);
    return persists_after(head);
  };
  const auto origin = [](int minor, std::vector<Header> headers) {
    ResponseHead head;
    head.minor = minor;
    head.headers = std::move(headers);
    return persists_after(head);
  };
  CHECK(client(1, {}));
  CHECK(client(1, {{"Connection", "upgrade"}}));
  CHECK_FALSE(client(1, {{"Connection", "a"}, {"connection", "keep-alive, Close"}}));
  CHECK_FALSE(client(0, {}));
  CHECK_FALSE(client(0, {{"Connection", "keep-alive"}}));
  CHECK(origin(1, {}));
  CHECK_FALSE(origin(1, {{"Connection", "close"}}));
  CHECK_FALSE(origin(0, {}));
  CHECK(origin(0, {{"Connection", "Keep-Alive"}}));
  CHECK_FALSE(origin(0, {{"Connection", "Keep-Alive, close"}}));
}

}  // namespace
}  // namespace warder::http
