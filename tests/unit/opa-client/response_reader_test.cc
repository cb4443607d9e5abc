#include "opa-client/response_reader.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace warder::opa {
namespace {

constexpr AnswerLimits kLimits{.head_bytes = 512, .body_bytes = 64};

struct ReadOutcome {
  Errc code = Errc::system;  // when not `ok`
  bool ok = false;
  bool keep_alive = false;
  int status = 0;
  std::string body = {};
  std::size_t rest = 0;  // bytes after the answer
};

// Feeds `bytes` in pieces of `size`, then the end of the stream when that is wanted.
ReadOutcome read_all(std::string_view bytes, std::size_t size, bool ends) {
  ResponseReader reader(kLimits);
  std::size_t used = 0;
  while (used < bytes.size() && !reader.done()) {
    const std::string_view piece = bytes.substr(used, size);
    const auto taken = reader.feed(piece);
    if (!taken) return {.code = taken.error().code};
    used += *taken;
  }
  if (!reader.done() && ends) {
    const auto finished = reader.finish();
    if (!finished) return {.code = finished.error().code};
  }
  if (!reader.done()) return {.code = Errc::timed_out};
  return {.ok = true,
          .keep_alive = reader.keep_alive(),
          .status = reader.status(),
          .body = reader.take_body(),
          .rest = bytes.size() - used};
}

constexpr std::size_t kSizes[] = {1, 2, 3, 4, 5, 7, 8, 16, 31, 100000};

TEST_CASE("response: complete ones", "[opa]") {
  struct Row {
    std::string bytes;
    bool ends;
    int status;
    std::string body;
    bool keep_alive;
  };
  const std::vector<Row> rows{
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false, 200, "{}", true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, 200, "", true},
      {"HTTP/1.1 200 \r\ncontent-length:2\r\n\r\nab", false, 200, "ab", true},
      {"HTTP/1.1 204 No Content\r\n\r\n", false, 204, "", true},
      {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", false, 200, "{}",
       false},
      {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", false, 200, "{}", false},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n",
       false, 200, "{}", true},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nTrailer: a\r\n\r\n",
       false, 200, "{}", true},
      {"HTTP/1.1 200 OK\r\n\r\n{}", true, 200, "{}", false},
      {"HTTP/1.1 200 OK\r\n\r\n", true, 200, "", false},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
       false, 200, "{}", true},
      {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false, 101,
       "", false},
      {"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\nno", false, 500, "no", true},
      {"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n" + std::string(64, 'b'), false, 200,
       std::string(64, 'b'), true},
  };
  for (const Row& row : rows) {
    for (const std::size_t size : kSizes) {
      INFO(row.bytes << " in pieces of " << size);
      const ReadOutcome outcome = read_all(row.bytes, size, row.ends);
      REQUIRE(outcome.ok);
      CHECK(outcome.status == row.status);
      CHECK(outcome.body == row.body);
      CHECK(outcome.keep_alive == row.keep_alive);
      CHECK(outcome.rest == 0);
    }
  }
}

TEST_CASE("response: what is no answer", "[opa]") {
  const std::string big(65, 'b');
  struct Row {
    std::string bytes;
    Errc code;
  };
  const std::vector<Row> rows{
      {"", Errc::opa_truncated},
      {"HTTP/1.1 200 OK\r\n", Errc::opa_truncated},
      {"HTTP/1.1 100 Continue\r\n\r\n", Errc::opa_truncated},
      {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", Errc::opa_truncated},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", Errc::opa_truncated},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
       Errc::opa_truncated},
      {"hello", Errc::opa_bad_answer},
      {"SSH-2.0-OpenSSH\r\n", Errc::opa_bad_answer},
      {"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", Errc::opa_bad_answer},
      {"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n", Errc::opa_bad_answer},
      {"HTTP/1.1 2000 OK\r\n\r\n", Errc::opa_bad_answer},
      {"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Errc::opa_bad_answer},
      {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n", Errc::opa_bad_answer},
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", Errc::opa_bad_answer},
      {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
       "\r\n",
       Errc::opa_bad_answer},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Errc::opa_bad_answer},
      {"HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n", Errc::opa_too_large},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n41\r\n" + big + "\r\n0\r\n\r\n",
       Errc::opa_too_large},
      {"HTTP/1.1 200 OK\r\n\r\n" + big, Errc::opa_too_large},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(600, 'x') + "\r\n\r\n", Errc::opa_too_large},
      {std::string(600, '\n'), Errc::opa_too_large},
  };
  for (const Row& row : rows) {
    for (const std::size_t size : kSizes) {
      INFO(row.bytes << " in pieces of " << size);
      const ReadOutcome outcome = read_all(row.bytes, size, true);
      CHECK_FALSE(outcome.ok);
      CHECK(outcome.code == row.code);
    }
  }
}

TEST_CASE("response: interim answers count against the head", "[opa]") {
  std::string many;
  for (int i = 0; i < 30; ++i) many += "HTTP/1.1 100 Continue\r\n\r\n";
  const std::string last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  for (const std::size_t size : kSizes) {
    CHECK(read_all(many + last, size, false).code == Errc::opa_too_large);
    // 15 of 25 bytes each and the last of 38: within 512.
    CHECK(read_all(many.substr(0, std::size_t{15} * 25) + last, size, false).ok);
  }
}

TEST_CASE("response: bytes after the answer are left alone", "[opa]") {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
  const std::string chunked =
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
  CHECK(read_all(answer + "x", 100000, false).rest == 1);
  CHECK(read_all(answer + answer, 100000, false).rest == answer.size());
  CHECK(read_all(chunked + "\r\n", 100000, false).rest == 2);
  CHECK(read_all("HTTP/1.1 204 No Content\r\n\r\nabc", 100000, false).rest == 3);
}

TEST_CASE("response: a reader serves one exchange after another", "[opa]") {
  ResponseReader reader(kLimits);
  for (int i = 0; i < 100; ++i) {
    const std::string bytes =
        "HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n" + std::string(60, 'b');
    const auto used = reader.feed(bytes);
    REQUIRE(used);
    CHECK(*used == bytes.size());
    REQUIRE(reader.done());
    CHECK(reader.take_body().size() == 60);
    reader.reset();
    CHECK_FALSE(reader.started());
  }
}

}  // namespace
}  // namespace warder::opa
