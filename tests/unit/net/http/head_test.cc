#include "net/http/head.h"

#include <fmt/format.h>

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>

#include "head_cases.h"
#include "pieces.h"

namespace warder::http {
namespace {

std::string form_name(RequestForm form) {
  switch (form) {
    case RequestForm::connect: return "connect";
    case RequestForm::absolute: return "absolute";
    case RequestForm::origin: return "origin";
    case RequestForm::asterisk: return "asterisk";
  }
  return "?";
}

std::string summary(const RequestHead& head) {
  std::string text = fmt::format("{} {} {} {}.{} headers={}", form_name(head.form), head.method,
                                 head.authority ? head.authority->text() : "-", head.major,
                                 head.minor, head.headers.size());
  if (!head.scheme.empty()) text += " " + head.scheme;
  return text;
}

struct RequestOutcome {
  std::string summary;  // of the request, the error's code, or "incomplete"
  std::string detail;   // of the error
  std::size_t taken = 0;
};

RequestOutcome read_in_pieces(RequestHeadReader& reader, std::string_view raw, std::size_t size) {
  RequestOutcome outcome;
  while (!raw.empty() && !reader.done()) {
    const std::string_view piece = raw.substr(0, size);
    const Result<std::size_t> taken = reader.feed(piece);
    if (!taken) {
      outcome.summary = std::string(code_name(taken.error().code));
      outcome.detail = taken.error().detail;
      return outcome;
    }
    outcome.taken += *taken;
    if (!reader.done()) CHECK(*taken == piece.size());
    raw.remove_prefix(*taken);
  }
  outcome.summary = reader.done() ? summary(reader.take()) : "incomplete";
  return outcome;
}

RequestOutcome read_request(std::string_view raw, std::size_t size = 1U << 20,
                            HeadLimits limits = {}) {
  RequestHeadReader reader(limits);
  return read_in_pieces(reader, raw, size);
}

std::string partial_of(std::string_view raw) {
  RequestHeadReader reader({});
  CHECK_FALSE(reader.feed(raw).has_value());
  const RequestHead& head = reader.partial();
  return fmt::format("{} {} {}", head.method, head.target,
                     head.authority ? head.authority->text() : "-");
}

void check_refused(const std::vector<HeadCase>& cases) {
  for (const HeadCase& test : cases) {
    for (const std::size_t size : kSizes) {
      INFO(test.name << ", " << size << " bytes at a time");
      const RequestOutcome outcome = read_request(test.raw, size);
      CHECK(outcome.summary == test.want);
      INFO(outcome.detail);
      CHECK(outcome.detail.find(test.detail) != std::string::npos);
      CHECK_FALSE(outcome.detail.empty());
    }
  }
}

TEST_CASE("heads a proxy serves are read, and nothing after them is taken", "[http]") {
  for (const HeadCase& test : accepted_heads()) {
    for (const std::size_t size : kSizes) {
      for (const std::string_view after : {"", "\x16\x03\x01", "\r\n\r\n", "GET / HTTP/9.9\r\n"}) {
        INFO(test.name << ", " << size << " bytes at a time, then " << after.size());
        const RequestOutcome outcome = read_request(test.raw + std::string(after), size);
        CHECK(outcome.summary == test.want);
        CHECK(outcome.detail.empty());
        CHECK(outcome.taken == test.raw.size());
      }
    }
  }
}

TEST_CASE("a head that is not over yet is neither done nor refused", "[http]") {
  for (const HeadCase& test : accepted_heads()) {
    for (std::size_t length = 0; length < test.raw.size(); ++length) {
      INFO(test.name << ", the first " << length << " bytes");
      CHECK(read_request(std::string_view(test.raw).substr(0, length)).summary == "incomplete");
    }
  }
}

TEST_CASE("request lines that are not HTTP/1 as a proxy needs it", "[http]") {
  check_refused(refused_request_lines());
}

TEST_CASE("targets and first bytes that are none of a proxy's", "[http]") {
  check_refused(refused_targets());
}

TEST_CASE("authorities no policy can name", "[http]") { check_refused(refused_authorities()); }

TEST_CASE("headers that would be read in two ways", "[http]") { check_refused(refused_headers()); }

TEST_CASE("header lines that are not well-formed", "[http]") {
  check_refused(refused_header_lines());
}

TEST_CASE("names and values of headers", "[http]") {
  RequestHeadReader reader({});
  const std::string raw =
      "CONNECT a:1 HTTP/1.1\r\nhOsT:a\r\nX-Pad: \t v w \t \r\nX-pad: second\r\nE:\r\n\r\n";
  CHECK_FALSE(reader.started());
  REQUIRE(reader.feed(raw).value() == raw.size());
  CHECK(reader.started());
  REQUIRE(reader.done());
  const RequestHead head = reader.take();
  REQUIRE(head.headers.size() == 4);
  CHECK(head.headers[0].name == "hOsT");
  CHECK(*head.header("host") == "a");
  CHECK(*head.header("x-PAD") == "v w");
  CHECK(head.header("e")->empty());
  CHECK(head.header("x-pa") == nullptr);
}

TEST_CASE("limits of a head", "[http]") {
  const std::string line = "CONNECT a:1 HTTP/1.0\r\n";
  const std::string raw = line + "A: b\r\nC: d\r\n\r\n";
  const std::string good = "connect CONNECT a:1 1.0 headers=2";
  for (const std::size_t size : kSizes) {
    INFO(size << " bytes at a time");
    CHECK(read_request(raw, size, {raw.size(), 3, 2}).summary == good);
    CHECK(read_request(raw, size, {raw.size() - 1, 3, 2}).summary == "head_too_large");
    CHECK(read_request(raw, size, {raw.size(), 2, 2}).summary == "head_too_large");
    CHECK(read_request(raw, size, {raw.size(), 3, 1}).summary == "head_too_large");
  }
}

TEST_CASE("a limit ends the request as soon as it is passed", "[http]") {
  CHECK(read_request("GET /" + std::string(8191, 'a')).summary == "incomplete");
  CHECK(read_request("GET /" + std::string(8192, 'a')).summary == "head_too_large");
  const std::string start = "GET / HTTP/1.0\r\nX: ";
  CHECK(read_request(start + std::string(65536 - start.size(), 'a')).summary == "incomplete");
  CHECK(read_request(start + std::string(65537 - start.size(), 'a')).summary == "head_too_large");
  std::string many = "GET / HTTP/1.0\r\n";
  for (int i = 0; i < 128; ++i) many += "A: b\r\n";
  CHECK(read_request(many).summary == "incomplete");
  CHECK(read_request(many + "A: b\r\n").summary == "head_too_large");
}

TEST_CASE("after an error the reader stays finished", "[http]") {
  RequestHeadReader reader({});
  const Result<std::size_t> first = reader.feed(std::string_view("\x16"));
  REQUIRE_FALSE(first.has_value());
  CHECK(reader.started());
  const Result<std::size_t> again = reader.feed(std::string_view("CONNECT a:1 HTTP/1.0\r\n\r\n"));
  REQUIRE_FALSE(again.has_value());
  CHECK(again.error().detail == first.error().detail);
  CHECK_FALSE(reader.done());
}

TEST_CASE("after the head the reader takes nothing", "[http]") {
  RequestHeadReader reader({});
  REQUIRE(reader.feed(std::string_view("CONNECT a:1 HTTP/1.0\r\n\r\n")).has_value());
  REQUIRE(reader.done());
  CHECK(reader.feed(std::string_view("more")).value() == 0);
}

TEST_CASE("what a record can say of a request that was refused", "[http]") {
  CHECK(partial_of("CONNECT a:1 HTTP/1.1\r\n\r\n") == "CONNECT a:1 a:1");
  CHECK(partial_of("CONNECT a:1 HTTP/2.0\r\n\r\n") == "CONNECT a:1 a:1");
  CHECK(partial_of("CONNECT A:1 HTTP/1.0\r\nX: \x01") == "CONNECT A:1 a:1");
  CHECK(partial_of("CONNECT a:1\x01") == "CONNECT a:1 -");
  CHECK(partial_of("CONNECT a:0 HTTP/1.0\r\n") == "CONNECT a:0 -");
  CHECK(partial_of("GET ftp://a/ HTTP/1.0\r\n") == "GET ftp://a/ -");
  CHECK(partial_of("\x16\x03\x01") == "  -");
  CHECK(partial_of(std::string(40, 'A')) == std::string(32, 'A') + "  -");
}

}  // namespace
}  // namespace warder::http
