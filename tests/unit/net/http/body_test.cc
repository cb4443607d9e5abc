#include "net/http/body.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "pieces.h"

// Raw bodies may hold NUL, which ends a literal unless its length is taken with it.
using std::string_literals::operator""s;

namespace warder::http {
namespace {

constexpr BodyFraming kChunked{Framing::chunked, 0};
constexpr BodyFraming kUntilClose{Framing::until_close, 0};

struct BodyOutcome {
  std::string payload;
  std::string error;     // code and detail, of feed() or finish()
  std::string trailers;  // "name=value;"
  std::size_t taken = 0;
  bool done = false;  // before finish()
};

BodyOutcome read_body(BodyFraming framing, std::string_view raw, std::size_t size,
                      BodyLimits limits = {}) {
  BodyReader reader(framing, limits, Errc::bad_request);
  BodyOutcome outcome;
  while (!raw.empty() && !reader.done()) {
    std::string_view piece = raw.substr(0, size);
    while (!piece.empty() && !reader.done()) {
      const Result<BodyReader::Piece> got = reader.feed(piece);
      if (!got) {
        outcome.error = describe(got.error());
        return outcome;
      }
      CHECK(got->used > 0);
      CHECK(got->data.size() <= got->used);
      CHECK(got->done == reader.done());
      outcome.payload += got->data;
      outcome.taken += got->used;
      piece.remove_prefix(got->used);
      raw.remove_prefix(got->used);
    }
  }
  outcome.done = reader.done();
  for (const Header& field : reader.take_trailers()) {
    outcome.trailers += field.name + "=" + field.value + ";";
  }
  const Result<void> finished = reader.finish();
  if (!finished) outcome.error = describe(finished.error());
  return outcome;
}

struct BodyCase {
  std::string raw;
  std::string want;  // payload, or what the error contains
  std::string trailers;
};

TEST_CASE("chunked bodies are read to their end and not a byte further", "[http]") {
  const std::vector<BodyCase> cases{
      {"0\r\n\r\n", "", ""},
      {"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
      {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", ""},
      {"a\r\n0123456789\r\n000\r\n\r\n", "0123456789", ""},
      {"0000000000000001\r\nx\r\n0\r\n\r\n", "x", ""},
      {"1F\r\n0123456789abcdef0123456789abcde\r\n0\r\n\r\n", "0123456789abcdef0123456789abcde", ""},
      {"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n", ""},
      {"2\r\n\0\xff\r\n0\r\n\r\n"s, "\0\xff"s, ""},
      {"1;a\r\nx\r\n0;b=c\r\n\r\n", "x", ""},
      {"1;a;b=c;d=\"e;\\\"\\\\ \xe9\t\";f\r\nx\r\n0\r\n\r\n", "x", ""},
      {"1;a=\"\"\r\nx\r\n0\r\n\r\n", "x", ""},
      {"1\r\nx\r\n0\r\nX-Sum: 1 2 \r\ny:\r\n\r\n", "x", "X-Sum=1 2;y=;"},
      {"0\r\nHost: a\r\nContent-Type: b\r\nAuthorization: c\r\ncookie: d\r\nX: e\r\n\r\n", "",
       "X=e;"},
      {"0\r\nConnection: X\r\nTE: y\r\nProxy-Status: y\r\nWarder-Id: z\r\ncontent_type: w\r\n\r\n",
       "", ""},
  };
  for (const BodyCase& test : cases) {
    for (const std::size_t size : kSizes) {
      for (const std::string_view after : {"", "\r\n", "0\r\n\r\n", "GET / HTTP/1.1\r\n"}) {
        INFO(test.raw << ", " << size << " bytes at a time, then " << after);
        const BodyOutcome outcome = read_body(kChunked, test.raw + std::string(after), size);
        CHECK(outcome.error.empty());
        CHECK(outcome.done);
        CHECK(outcome.payload == test.want);
        CHECK(outcome.trailers == test.trailers);
        CHECK(outcome.taken == test.raw.size());
      }
    }
    for (std::size_t length = 0; length < test.raw.size(); ++length) {
      const BodyOutcome outcome = read_body(kChunked, test.raw.substr(0, length), 1U << 20);
      CHECK_FALSE(outcome.done);
      CHECK(outcome.error == "closed_by_peer: the connection ended before the last chunk did");
    }
  }
}

TEST_CASE("chunked bodies that another reader would end elsewhere", "[http]") {
  const std::vector<BodyCase> cases{
      {"\r\n", "byte 0x0d in a chunk size (byte 0 of the body)", ""},
      {";a\r\n", "byte 0x3b in a chunk size", ""},
      {" 5\r\nhello", "byte 0x20 in a chunk size", ""},
      {"5 \r\nhello", "byte 0x20 in a chunk size", ""},
      {"5\t;a\r\nhello", "byte 0x09 in a chunk size", ""},
      {"+5\r\nhello", "byte 0x2b in a chunk size", ""},
      {"-1\r\n", "byte 0x2d in a chunk size", ""},
      {"0x5\r\nhello", "byte 0x78 in a chunk size", ""},
      {"5_0\r\nhello", "byte 0x5f in a chunk size", ""},
      {"g\r\n", "byte 0x67 in a chunk size", ""},
      {"5\nhello", "byte 0x0a in a chunk size", ""},
      {"5\rhello", "CR without LF after a chunk size", ""},
      {"00000000000000005\r\nhello", "more than 16 digits", ""},
      {"10000000000000000\r\n", "more than 16 digits", ""},
      {"5\r\nhello!\r\n", "byte 0x21 after a chunk", ""},
      {"5\r\nhello\n0\r\n\r\n", "byte 0x0a after a chunk", ""},
      {"5\r\nhello\r0\r\n\r\n", "CR without LF after a chunk (", ""},
      {"5\r\nhello0\r\n\r\n", "byte 0x30 after a chunk", ""},
      {"5;\r\nhello", "byte 0x0d in a chunk extension", ""},
      {"5;;a\r\nhello", "byte 0x3b in a chunk extension", ""},
      {"5; a\r\nhello", "byte 0x20 in a chunk extension", ""},
      {"5;a \r\nhello", "byte 0x20 in a chunk extension", ""},
      {"5;a=\r\nhello", "byte 0x0d in a chunk extension", ""},
      {"5;=b\r\nhello", "byte 0x3d in a chunk extension", ""},
      {"5;a=b c\r\nhello", "byte 0x20 in a chunk extension", ""},
      {"5;a\nhello", "byte 0x0a in a chunk extension", ""},
      {"5;a=b\nhello", "byte 0x0a in a chunk extension", ""},
      {"5;a=\"b\nhello", "byte 0x0a in a chunk extension", ""},
      {"5;a=\"b\\\nhello", "byte 0x0a in a chunk extension", ""},
      {"5;a=\"b\r\nhello", "byte 0x0d in a chunk extension", ""},
      {"5;a=\"b\"c\r\nhello", "byte 0x63 in a chunk extension", ""},
      {"5;a\0\r\nhello"s, "byte 0x00 in a chunk extension", ""},
      {"5;a\rb\nhello", "CR without LF after a chunk size", ""},
      {"0\r\nX y\r\n\r\n", "a blank in or after a header name", ""},
      {"0\r\nX: y\r\n z\r\n\r\n", "folding", ""},
      {"0\r\nX: y\n\r\n", "LF without CR", ""},
      {"0\r\nX: \0\r\n\r\n"s, "byte 0x00 in a header value", ""},
      {"0\r\n\n", "LF without CR", ""},
      {"0\r\nContent-Length: 0\r\n\r\n", "Content-Length among the trailers", ""},
      {"0\r\ntransfer-encoding: x\r\n\r\n", "transfer-encoding among the trailers", ""},
      {"0\n\r\n", "byte 0x0a in a chunk size", ""},
  };
  for (const BodyCase& test : cases) {
    for (const std::size_t size : kSizes) {
      INFO(test.raw << ", " << size << " bytes at a time");
      const BodyOutcome outcome = read_body(kChunked, test.raw, size);
      INFO(outcome.error);
      CHECK(outcome.error.starts_with("bad_request: "));
      CHECK(outcome.error.find(test.want) != std::string::npos);
    }
  }
}

TEST_CASE("the largest chunk size is 64 bits", "[http]") {
  BodyReader reader(kChunked, {}, Errc::bad_request);
  REQUIRE(reader.feed(std::string_view("ffffffffffffffff\r\n")).has_value());
  CHECK(reader.feed(std::string_view("data")).value().data == "data");
  CHECK_FALSE(reader.finish().has_value());
}

TEST_CASE("limits of chunk lines and trailers", "[http]") {
  const std::string raw = "1;a=b\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n";
  for (const std::size_t size : kSizes) {
    INFO(size << " bytes at a time");
    CHECK(read_body(kChunked, raw, size, {7, 14, 2}).done);
    CHECK(read_body(kChunked, raw, size, {6, 14, 2}).error.find("longer than 6 bytes") !=
          std::string::npos);
    CHECK(read_body(kChunked, raw, size, {7, 13, 2}).error ==
          "bad_request: the trailer section is longer than 13 bytes");
    CHECK(read_body(kChunked, raw, size, {7, 14, 1}).error == "bad_request: more than 1 headers");
  }
  const std::string start = "1;a=\"";
  const std::string fits = start + std::string(4096 - start.size() - 3, 'a') + "\"\r\n";
  CHECK(read_body(kChunked, fits + "x\r\n0\r\n\r\n", 1U << 20).done);
  CHECK(read_body(kChunked, start + std::string(4097, 'a'), 1U << 20).error.find("4096") !=
        std::string::npos);
}

TEST_CASE("small chunks with long extensions end the request", "[http]") {
  const std::string chunk = "1;a=" + std::string(1000, 'b') + "\r\nx\r\n";
  std::string raw;
  for (int i = 0; i < 16; ++i) raw += chunk;
  CHECK(read_body(kChunked, raw + "0\r\n\r\n", 1U << 20).done);
  CHECK(
      read_body(kChunked, raw + chunk, 1U << 20).error.find("more chunk extensions than payload") !=
      std::string::npos);
  // Payload makes up for it.
  const std::string large = "4000\r\n" + std::string(0x4000, 'y') + "\r\n";
  CHECK(read_body(kChunked, raw + large + raw + "0\r\n\r\n", 1U << 20).done);
  // And small chunks without extensions are nobody's fault.
  std::string bytes;
  for (int i = 0; i < 100000; ++i) bytes += "1\r\nx\r\n";
  CHECK(read_body(kChunked, bytes + "0\r\n\r\n", 1U << 20).payload.size() == 100000);
}

TEST_CASE("bodies with a length, or until the connection ends", "[http]") {
  for (const std::size_t size : kSizes) {
    const BodyOutcome whole = read_body({Framing::length, 5}, "hello, and more", size);
    CHECK(whole.payload == "hello");
    CHECK(whole.taken == 5);
    CHECK(whole.done);
    CHECK(whole.error.empty());
    const BodyOutcome cut = read_body({Framing::length, 15}, "hello", size);
    CHECK(cut.payload == "hello");
    CHECK_FALSE(cut.done);
    CHECK(cut.error == "closed_by_peer: the connection ended after 5 of 15 bytes");
    const BodyOutcome close = read_body(kUntilClose, "hello", size);
    CHECK(close.payload == "hello");
    CHECK_FALSE(close.done);
    CHECK(close.error.empty());
  }
}

TEST_CASE("a body without bytes is done from the start", "[http]") {
  for (const BodyFraming framing : {BodyFraming{}, BodyFraming{Framing::length, 0}}) {
    BodyReader reader(framing, {}, Errc::bad_response);
    CHECK(reader.done());
    const BodyReader::Piece piece = reader.feed(std::string_view("next")).value();
    CHECK(piece.used == 0);
    CHECK(piece.data.empty());
    CHECK(piece.done);
    CHECK(reader.finish().has_value());
    CHECK(reader.take_trailers().empty());
  }
}

TEST_CASE("payload is referenced, not copied", "[http]") {
  const std::string raw = "5\r\nhello\r\n0\r\n\r\n";
  BodyReader reader(kChunked, {}, Errc::bad_response);
  const BodyReader::Piece piece = reader.feed(raw).value();
  CHECK(piece.data.data() == raw.data() + 3);
  CHECK(piece.used == 8);
  CHECK_FALSE(piece.done);
}

TEST_CASE("after an error a body stays broken, with the error it was told to give", "[http]") {
  BodyReader reader(kChunked, {}, Errc::bad_response);
  const Result<BodyReader::Piece> first = reader.feed(std::string_view("x"));
  REQUIRE_FALSE(first.has_value());
  CHECK(first.error().code == Errc::bad_response);
  CHECK(reader.feed(std::string_view("0\r\n\r\n")).error().detail == first.error().detail);
  CHECK(reader.finish().error().detail == first.error().detail);
}

TEST_CASE("an until-close body ends with finish", "[http]") {
  BodyReader reader(kUntilClose, {}, Errc::bad_response);
  CHECK_FALSE(reader.done());
  CHECK(reader.finish().has_value());
  CHECK(reader.done());
}

TEST_CASE("chunks as they are written", "[http]") {
  std::string out;
  append_chunk(out, "");
  CHECK(out.empty());
  append_chunk(out, "hello, world 1234");
  append_last_chunk(out, {{"A", "b"}, {"C", ""}});
  CHECK(out == "11\r\nhello, world 1234\r\n0\r\nA: b\r\nC: \r\n\r\n");
  std::string bare;
  append_last_chunk(bare, {});
  CHECK(bare == "0\r\n\r\n");
}

}  // namespace
}  // namespace warder::http
