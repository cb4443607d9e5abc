#include "net/http/response_head.h"

#include <fmt/format.h>

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "pieces.h"

// Raw heads may hold NUL, which ends a literal unless its length is taken with it.
using std::string_literals::operator""s;

namespace warder::http {
namespace {

struct ResponseOutcome {
  std::string summary;  // of the head, the error's code, or "incomplete"
  std::string detail;   // of the error
  std::size_t taken = 0;
};

ResponseOutcome read_response(std::string_view raw, std::size_t size = 1U << 20,
                              HeadLimits limits = kResponseHeadLimits) {
  ResponseHeadReader reader(limits);
  ResponseOutcome outcome;
  while (!raw.empty() && !reader.done()) {
    const std::string_view piece = raw.substr(0, size);
    const Result<std::size_t> taken = reader.feed(piece);
    if (!taken) {
      return {std::string(code_name(taken.error().code)), taken.error().detail, outcome.taken};
    }
    outcome.taken += *taken;
    if (!reader.done()) CHECK(*taken == piece.size());
    raw.remove_prefix(*taken);
  }
  if (!reader.done()) {
    outcome.summary = "incomplete";
    return outcome;
  }
  const ResponseHead head = reader.take();
  outcome.summary = fmt::format("{}.{} {} [{}] headers={}", head.major, head.minor, head.status,
                                head.reason, head.headers.size());
  return outcome;
}

struct ResponseCase {
  std::string raw;
  std::string want;  // the summary, or what the detail of bad_response contains
};

TEST_CASE("answers a proxy reads, and nothing after their heads is taken", "[http]") {
  const std::vector<ResponseCase> cases{
      {"HTTP/1.1 200 OK\r\n\r\n", "1.1 200 [OK] headers=0"},
      {"HTTP/1.0 404 Not Found\r\nA: b\r\nC:\r\n\r\n", "1.0 404 [Not Found] headers=2"},
      {"HTTP/1.1 204 \r\n\r\n", "1.1 204 [] headers=0"},
      {"HTTP/1.1 304\r\n\r\n", "1.1 304 [] headers=0"},
      {"HTTP/1.1 100 Continue\r\n\r\n", "1.1 100 [Continue] headers=0"},
      {"HTTP/1.1 999 \t \r\n\r\n", "1.1 999 [\t ] headers=0"},
      {"HTTP/1.1 200 Fran\xe7"
       "ais\r\n\r\n",
       "1.1 200 [Fran\xe7"
       "ais] headers=0"},
      {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
       "1.1 101 [Switching Protocols] headers=2"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "1.1 200 [OK] headers=1"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1.1 200 [OK] headers=1"},
      {"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", "1.1 204 [No] headers=1"},
      {"HTTP/1.1 200 OK\r\nX: \xff\xc3\xa9\tz\r\n\r\n", "1.1 200 [OK] headers=1"},
      {"HTTP/1.1 200 OK\r\n!#$%&'*+-.^_`|~09az: v\r\n\r\n", "1.1 200 [OK] headers=1"},
  };
  for (const ResponseCase& test : cases) {
    for (const std::size_t size : kSizes) {
      for (const std::string_view after : {"", "\r\n\r\n", "HTTP/1.1 200 OK\r\n", "hello"}) {
        INFO(test.raw << ", " << size << " bytes at a time, then " << after.size());
        const ResponseOutcome outcome = read_response(test.raw + std::string(after), size);
        CHECK(outcome.summary == test.want);
        CHECK(outcome.detail.empty());
        CHECK(outcome.taken == test.raw.size());
      }
    }
    for (std::size_t length = 0; length < test.raw.size(); ++length) {
      CHECK(read_response(std::string_view(test.raw).substr(0, length)).summary == "incomplete");
    }
  }
}

void check_bad_responses(const std::vector<ResponseCase>& cases) {
  for (const ResponseCase& test : cases) {
    for (const std::size_t size : kSizes) {
      INFO(test.raw << ", " << size << " bytes at a time");
      const ResponseOutcome outcome = read_response(test.raw, size);
      CHECK(outcome.summary == "bad_response");
      INFO(outcome.detail);
      CHECK_FALSE(outcome.detail.empty());
      CHECK(outcome.detail.find(test.want) != std::string::npos);
    }
  }
}

TEST_CASE("status lines that are not HTTP/1", "[http]") {
  check_bad_responses({
      {"<html>", "byte 0x3c in the version: the answer does not begin with HTTP/ and a version (b"},
      {"\r\nHTTP/1.1 200 OK\r\n\r\n", "without a status"},
      {" HTTP/1.1 200 OK\r\n\r\n", "byte 0x20 in the version"},
      {"\x16\x03\x01", "byte 0x16 in the version"},
      {"SSH-2.0-x\r\n", "byte 0x53"},
      {"http/1.1 200 OK\r\n\r\n", "byte 0x68"},
      {"HTTP/2.0 200 OK\r\n\r\n", "HTTP/2.0: only"},
      {"HTTP/2 200 OK\r\n\r\n", "byte 0x20 in the version"},
      {"HTTP/1.2 200 OK\r\n\r\n", "HTTP/1.2: only"},
      {"HTTP/0.9 200 OK\r\n\r\n", "HTTP/0.9: only"},
      {"HTTP/1.10 200 OK\r\n\r\n", "byte 0x30 after the version"},
      {"HTTP/11 200 OK\r\n\r\n", "byte 0x31 in the version"},
      {"HTTP/1.1\r\n\r\n", "without a status"},
      {"HTTP/1.1\t200 OK\r\n\r\n", "byte 0x09 after the version"},
      {"HTTP/1.1  200 OK\r\n\r\n", "byte 0x20 in the status"},
      {"HTTP/1.1 \r\n\r\n", "less than three digits"},
      {"HTTP/1.1 20\r\n\r\n", "less than three digits"},
      {"HTTP/1.1 20 OK\r\n\r\n", "byte 0x20 in the status"},
      {"HTTP/1.1 099 OK\r\n\r\n", "byte 0x30 in the status"},
      {"HTTP/1.1 2000 OK\r\n\r\n", "byte 0x30 after the status"},
      {"HTTP/1.1 +20 OK\r\n\r\n", "byte 0x2b in the status"},
      {"HTTP/1.1 2x0 OK\r\n\r\n", "byte 0x78 in the status"},
      {"HTTP/1.1 200\tOK\r\n\r\n", "byte 0x09 after the status"},
      {"HTTP/1.1 200 O\0K\r\n\r\n"s, "byte 0x00 in the reason phrase"},
      {"HTTP/1.1 200 O\x1b[2J\r\n\r\n", "byte 0x1b in the reason phrase"},
      {"HTTP/1.1 200 O\x7f\r\n\r\n", "byte 0x7f in the reason phrase"},
      {"HTTP/1.1 200 OK\n\r\n", "LF without CR"},
      {"HTTP/1.1 200 OK\r\r\n", "CR without LF"},
      {"HTTP/1.1 200\rOK\r\n\r\n", "CR without LF"},
      {"\n", "LF without CR"},
  });
}

TEST_CASE("header lines of answers that are not well-formed", "[http]") {
  const std::string line = "HTTP/1.1 200 OK\r\n";
  check_bad_responses({
      {line + "X: y\r\n z\r\n\r\n", "folding"},
      {line + " X: y\r\n\r\n", "folding"},
      {line + "\tX: y\r\n\r\n", "folding"},
      {line + "X : y\r\n\r\n", "blank in or after a header name"},
      {line + "X\r\n\r\n", "without ':'"},
      {line + ": x\r\n\r\n", "empty header name"},
      {line + "X(y): x\r\n\r\n", "byte 0x28 in a header name"},
      {line + "X\xc3: x\r\n\r\n", "byte 0xc3 in a header name"},
      {line + "X\0: x\r\n\r\n"s, "byte 0x00 in a header name"},
      {line + "X: a\0b\r\n\r\n"s, "byte 0x00 in a header value"},
      {line + "X: \a\r\n\r\n", "byte 0x07 in a header value"},
      {line + "X: \x7f\r\n\r\n", "byte 0x7f in a header value"},
      {line + "X: a\rSet-Cookie: b\r\n\r\n", "CR without LF"},
      {line + "X: a\nSet-Cookie: b\r\n\r\n", "LF without CR"},
      {line + "X: a\r\n\n", "LF without CR"},
      {line + "X: a\r\n\rX", "CR without LF"},
      {line + "Content-Length: +5\r\n\r\n", ""},
      {line + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", ""},
      {line + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", ""},
  });
}

TEST_CASE("limits of an answer's head", "[http]") {
  const std::string raw = "HTTP/1.1 200 Oh\r\nA: b\r\nC: d\r\n\r\n";
  const std::string good = "1.1 200 [Oh] headers=2";
  for (const std::size_t size : kSizes) {
    INFO(size << " bytes at a time");
    CHECK(read_response(raw, size, {raw.size(), 2, 2}).summary == good);
    CHECK(read_response(raw, size, {raw.size() - 1, 2, 2}).detail ==
          "the head is longer than 30 bytes");
    CHECK(read_response(raw, size, {raw.size(), 1, 2}).detail ==
          "the reason phrase is longer than 1 bytes (byte 14)");
    CHECK(read_response(raw, size, {raw.size(), 2, 1}).detail == "more than 1 headers");
  }
  const std::string start = "HTTP/1.1 200 OK\r\nX: ";
  CHECK(read_response(start + std::string(65536 - start.size(), 'a')).summary == "incomplete");
  CHECK(read_response(start + std::string(65537 - start.size(), 'a')).summary == "bad_response");
  std::string many = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 256; ++i) many += "A: b\r\n";
  CHECK(read_response(many).summary == "incomplete");
  CHECK(read_response(many + "A: b\r\n").summary == "bad_response");
}

TEST_CASE("names and values of an answer's headers", "[http]") {
  ResponseHeadReader reader(kResponseHeadLimits);
  CHECK_FALSE(reader.started());
  const std::string raw = "HTTP/1.1 200 OK\r\nX-Pad: \t v w \t \r\nX-pad: second\r\nE:\r\n\r\n";
  REQUIRE(reader.feed(raw).value() == raw.size());
  CHECK(reader.started());
  CHECK(reader.feed(std::string_view("more")).value() == 0);
  const ResponseHead head = reader.take();
  REQUIRE(head.headers.size() == 3);
  CHECK(head.headers[0].name == "X-Pad");
  CHECK(*head.header("x-PAD") == "v w");
  CHECK(head.header("e")->empty());
  CHECK(head.header("x-pa") == nullptr);
}

TEST_CASE("after an error the reader of answers stays finished", "[http]") {
  ResponseHeadReader reader(kResponseHeadLimits);
  const Result<std::size_t> first = reader.feed(std::string_view("\x16"));
  REQUIRE_FALSE(first.has_value());
  CHECK(reader.started());
  const Result<std::size_t> again = reader.feed(std::string_view("HTTP/1.1 200 OK\r\n\r\n"));
  REQUIRE_FALSE(again.has_value());
  CHECK(again.error().detail == first.error().detail);
  CHECK_FALSE(reader.done());
}

}  // namespace
}  // namespace warder::http
