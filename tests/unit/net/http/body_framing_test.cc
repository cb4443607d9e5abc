#include <fmt/format.h>

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

#include "net/http/body.h"

namespace warder::http {
namespace {

std::string text(const Result<BodyFraming>& framing) {
  if (!framing) return describe(framing.error());
  switch (framing->kind) {
    case Framing::none: return "none";
    case Framing::length: return fmt::format("length {}", framing->length);
    case Framing::chunked: return "chunked";
    case Framing::until_close: return "until close";
  }
  return "?";
}

std::string of_request(std::vector<Header> headers, int minor = 1) {
  RequestHead head;
  head.method = "POST";
  head.form = RequestForm::absolute;
  head.minor = minor;
  head.headers = std::move(headers);
  return text(request_framing(head));
}

std::string of_response(std::vector<Header> headers, int status = 200, int minor = 1,
                        const char* method = "GET") {
  ResponseHead head;
  head.status = status;
  head.minor = minor;
  head.headers = std::move(headers);
  return text(response_framing(head, method));
}

struct FramingCase {
  std::vector<Header> headers;
  std::string want;  // or, after a colon, the detail of bad_request and bad_response
};

const std::string kTwo = ": more than one Content-Length or Transfer-Encoding header";
const std::string kNumber = ": Content-Length is no number below 2^63 in plain digits";
const std::string kCoding = ": Transfer-Encoding is not chunked and nothing else";

std::vector<FramingCase> cases() {
  return {
      {{{"Content-Length", "5"}}, "length 5"},
      {{{"content-length", "0"}}, "length 0"},
      {{{"Content-Length", "007"}}, "length 7"},
      {{{"Content-Length", "9223372036854775807"}}, "length 9223372036854775807"},
      {{{"Transfer-Encoding", "chunked"}}, "chunked"},
      {{{"transfer-ENCODING", "Chunked"}}, "chunked"},
      {{{"Content-Length", "9223372036854775808"}}, kNumber},
      {{{"Content-Length", "18446744073709551621"}}, kNumber},
      {{{"Content-Length", "99999999999999999999999"}}, kNumber},
      {{{"Content-Length", ""}}, kNumber},
      {{{"Content-Length", "+5"}}, kNumber},
      {{{"Content-Length", "-5"}}, kNumber},
      {{{"Content-Length", "5 5"}}, kNumber},
      {{{"Content-Length", "5, 5"}}, kNumber},
      {{{"Content-Length", "5,"}}, kNumber},
      {{{"Content-Length", "0x5"}}, kNumber},
      {{{"Content-Length", "5.0"}}, kNumber},
      {{{"Content-Length", "5e0"}}, kNumber},
      {{{"Content-Length", "\xc2\xb5"}}, kNumber},
      {{{"Content-Length", "5"}, {"Content-Length", "5"}}, kTwo},
      {{{"Content-Length", "5"}, {"X", "y"}, {"content-length", "6"}}, kTwo},
      {{{"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}}, kTwo},
      {{{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}, kTwo},
      {{{"Transfer-Encoding", "identity"}, {"Transfer-Encoding", "chunked"}}, kTwo},
      {{{"Transfer-Encoding", ""}}, kCoding},
      {{{"Transfer-Encoding", "identity"}}, kCoding},
      {{{"Transfer-Encoding", "gzip, chunked"}}, kCoding},
      {{{"Transfer-Encoding", "chunked, chunked"}}, kCoding},
      {{{"Transfer-Encoding", "chunked, identity"}}, kCoding},
      {{{"Transfer-Encoding", "chunked;q=1"}}, kCoding},
      {{{"Transfer-Encoding", "\"chunked\""}}, kCoding},
      {{{"Transfer-Encoding", "xchunked"}}, kCoding},
      {{{"Transfer-Encoding", "chunked\v"}}, kCoding},
      {{{"Transfer-Encoding", ",chunked"}}, kCoding},
  };
}

TEST_CASE("where bodies end", "[http]") {
  for (const FramingCase& test : cases()) {
    INFO(test.headers.front().name << ": " << test.headers.front().value);
    const bool refused = test.want.starts_with(':');
    CHECK(of_request(test.headers) == (refused ? "bad_request" + test.want : test.want));
    CHECK(of_response(test.headers) == (refused ? "bad_response" + test.want : test.want));
  }
}

TEST_CASE("messages that say nothing of a body", "[http]") {
  CHECK(of_request({{"Content_Length", "5"}}) == "none");
  CHECK(of_request({}, 0) == "none");
  CHECK(of_response({{"Content_Length", "5"}}) == "until close");
  CHECK(of_response({}, 200, 0) == "until close");
}

TEST_CASE("Transfer-Encoding is not of HTTP/1.0", "[http]") {
  CHECK(of_request({{"Transfer-Encoding", "chunked"}}, 0) ==
        "bad_request: Transfer-Encoding in an HTTP/1.0 message");
  CHECK(of_response({{"Transfer-Encoding", "chunked"}}, 200, 0) ==
        "bad_response: Transfer-Encoding in an HTTP/1.0 message");
  CHECK(of_request({{"Content-Length", "5"}}, 0) == "length 5");
  CHECK(of_response({{"Content-Length", "5"}}, 200, 0) == "length 5");
}

TEST_CASE("answers that have no body, whatever they say", "[http]") {
  for (const FramingCase& test : cases()) {
    CHECK(of_response(test.headers, 200, 1, "HEAD") == "none");
    for (const int status : {100, 101, 103, 199, 204, 304}) {
      CHECK(of_response(test.headers, status) == "none");
    }
  }
  CHECK(of_response({{"Content-Length", "5"}}, 205) == "length 5");
  CHECK(of_response({{"Content-Length", "5"}}, 206) == "length 5");
  CHECK(of_response({{"Content-Length", "5"}}, 404, 1, "head") == "length 5");
}

TEST_CASE("CONNECT has no body and says nothing of one", "[http]") {
  RequestHead head;
  head.form = RequestForm::connect;
  CHECK(text(request_framing(head)) == "none");
  head.headers = {{"Content-Length", "0"}};
  CHECK(text(request_framing(head)).starts_with("bad_request: CONNECT"));
}

}  // namespace
}  // namespace warder::http
