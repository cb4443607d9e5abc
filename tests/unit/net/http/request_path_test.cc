#include "net/http/request_path.h"

#include <fmt/format.h>

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace warder::http {
namespace {

Result<RequestPath> read_path(std::string_view method, std::string_view target) {
  RequestHead head;
  head.method = method;
  head.target = target;
  head.form = RequestForm::absolute;
  return read_request_path(head);
}

RequestPath path_of(std::string_view target) {
  const Result<RequestPath> path = read_path("GET", target);
  REQUIRE(path);
  return *path;
}

std::string doubts_of(std::string_view path) {
  return fmt::format("{}", fmt::join(path_of(fmt::format("http://h{}", path)).doubts, " "));
}

TEST_CASE("request path: raw as sent, canonical as compared", "[http]") {
  struct Row {
    std::string_view rest, raw, path_raw, path, query_raw, query;
  };
  constexpr std::string_view kNone = "none";
  const std::vector<Row> rows{
      {"", "/", "/", "/", kNone, kNone},
      {"/", "/", "/", "/", kNone, kNone},
      {"?", "/?", "/", "/", "", ""},
      {"?a=b", "/?a=b", "/", "/", "a=b", "a=b"},
      {"/?", "/?", "/", "/", "", ""},
      {"/a/b", "/a/b", "/a/b", "/a/b", kNone, kNone},
      {"/a?b?c", "/a?b?c", "/a", "/a", "b?c", "b?c"},
      {"/%61%7E%2d?%5F%2f", "/%61%7E%2d?%5F%2f", "/%61%7E%2d", "/a~-", "%5F%2f", "_%2F"},
      {"/A/b+c/:@!$&'()*,=", "/A/b+c/:@!$&'()*,=", "/A/b+c/:@!$&'()*,=", "/A/b+c/:@!$&'()*,=",
       kNone, kNone},
      {"/%c3%a9", "/%c3%a9", "/%c3%a9", "/%C3%A9", kNone, kNone},
      {"/a/../b", "/a/../b", "/a/../b", "/a/../b", kNone, kNone},
      {"//x", "//x", "//x", "//x", kNone, kNone},
      // Decoded once, not until nothing is left.
      {"/%2541", "/%2541", "/%2541", "/%2541", kNone, kNone},
      {"/%25%34%31", "/%25%34%31", "/%25%34%31", "/%2541", kNone, kNone},
      {"/http://x", "/http://x", "/http://x", "/http://x", kNone, kNone},
      {"?http://x/y", "/?http://x/y", "/", "/", "http://x/y", "http://x/y"},
  };
  for (const Row& row : rows) {
    for (const std::string_view begin : {"http://h", "HTTP://u.example:81", "https://[::1]:8443"}) {
      INFO(begin << row.rest);
      const RequestPath path = path_of(fmt::format("{}{}", begin, row.rest));
      CHECK(path.raw == row.raw);
      CHECK(path.path_raw == row.path_raw);
      CHECK(path.path == row.path);
      CHECK(path.query_raw.value_or("none") == row.query_raw);
      CHECK(path.query.value_or("none") == row.query);
    }
  }
}

TEST_CASE("request path: OPTIONS of the server as a whole", "[http]") {
  const auto raw_of = [](std::string_view target) {
    const Result<RequestPath> path = read_path("OPTIONS", target);
    REQUIRE(path);
    CHECK(path->doubts.empty());
    return path->raw;
  };
  CHECK(raw_of("http://h") == "*");
  CHECK(raw_of("http://h:80") == "*");
  CHECK(raw_of("http://h/") == "/");
  CHECK(raw_of("http://h?") == "/?");
  CHECK(raw_of("http://h?a") == "/?a");
  CHECK(raw_of("http://h/*") == "/*");
  CHECK(read_path("OPTIONS", "http://h")->path == "*");
}

TEST_CASE("request path: escapes that are none", "[http]") {
  struct Row {
    std::string_view target, detail;
  };
  const std::vector<Row> rows{
      {"http://h/%", "the path ends within a percent-escape"},
      {"http://h/a%4", "the path ends within a percent-escape"},
      {"http://h/%?a", "the path ends within a percent-escape"},
      {"http://h/%zz", "byte 0x7a in a percent-escape of the path: no hexadecimal digit"},
      {"http://h/%4g/", "byte 0x67 in a percent-escape of the path: no hexadecimal digit"},
      {"http://h/%u0041", "byte 0x75 in a percent-escape of the path: no hexadecimal digit"},
      {"http://h/%%41", "byte 0x25 in a percent-escape of the path: no hexadecimal digit"},
      {"http://h/% 1", "byte 0x20 in a percent-escape of the path: no hexadecimal digit"},
      {"http://h/%-1", "byte 0x2d in a percent-escape of the path: no hexadecimal digit"},
      {"http://h/?100%", "the query ends within a percent-escape"},
      {"http://h?%:1", "byte 0x3a in a percent-escape of the query: no hexadecimal digit"},
      {"http://h?%4@", "byte 0x40 in a percent-escape of the query: no hexadecimal digit"},
      {"http://h?%4`", "byte 0x60 in a percent-escape of the query: no hexadecimal digit"},
  };
  for (const Row& row : rows) {
    INFO(row.target);
    const Result<RequestPath> path = read_path("GET", row.target);
    REQUIRE_FALSE(path);
    CHECK(path.error().code == Errc::bad_request);
    CHECK(path.error().detail == row.detail);
  }
}

TEST_CASE("request path: only of an absolute URL", "[http]") {
  RequestHead head;
  head.target = "/a";
  head.form = RequestForm::origin;
  CHECK_FALSE(read_request_path(head));
  head.form = RequestForm::absolute;
  CHECK_FALSE(read_request_path(head));
}

struct DoubtRow {
  std::string_view path, doubts;
};

void check_doubts(const std::vector<DoubtRow>& rows) {
  for (const DoubtRow& row : rows) {
    INFO(row.path);
    CHECK(doubts_of(row.path) == row.doubts);
  }
}

TEST_CASE("request path: what every reader reads alike", "[http]") {
  check_doubts({
      {"", ""},
      {"/", ""},
      {"/a/", ""},
      {"/a.b/..c/d../...", ""},
      {"/.well-known/x", ""},
      {"/%c3%a9/%E2%82%AC", ""},
      {"/a%20b%25/%25zz/%25%25", ""},
      {"/100%25?x", ""},
      {"/a:b@c!$&'()*+,=~_-", ""},
      // Of the query no path is made.
      {"/a?b//../%2e%2f%5c%00;\\%ff%2541", ""},
  });
}

TEST_CASE("request path: what two readers may read differently", "[http]") {
  check_doubts({
      {"/a%2Fb", "encoded_slash"},
      {"/a%2f", "encoded_slash"},
      {"/a%5Cb", "encoded_backslash"},
      {"/a%5c", "encoded_backslash"},
      {"/a%00", "encoded_nul"},
      {"/a%01", "encoded_control"},
      {"/a%0d%0aX", "encoded_control"},
      {"/a%1F", "encoded_control"},
      {"/a%7f", "encoded_control"},
      {"/a%3Fb", "encoded_question_mark"},
      {"/a%23b", "encoded_number_sign"},
      {"/a%252F", "encoded_percent"},
      {"/a%2541", "encoded_percent"},
      {"/a%25%32%66", "encoded_percent"},
      {"/a%25%2541", "encoded_percent"},
      {"/.", "dot_segment"},
      {"/..", "dot_segment"},
      {"/./a", "dot_segment"},
      {"/a/..", "dot_segment"},
      {"/a/../b", "dot_segment"},
      {"/a/%2e%2E/b", "dot_segment"},
      {"/a/.%2e", "dot_segment"},
      {"/a/%2e/", "dot_segment"},
      {"/a\\b", "backslash"},
      {"/a;b", "path_parameter"},
      {"/a%3bb", "path_parameter"},
      {"//", "double_slash"},
      {"//a", "double_slash"},
      {"/a//b", "double_slash"},
      {"/a//", "double_slash"},
      {"/%ff", "non_utf8"},
      {"/%c3", "non_utf8"},
      {"/%c3/a", "non_utf8"},
      {"/%c0%af", "non_utf8"},
      {"/%e0%80%af", "non_utf8"},
      {"/%ed%a0%80", "non_utf8"},
      {"/%e9", "non_utf8"},
  });
}

TEST_CASE("request path: every doubt once, in one order", "[http]") {
  CHECK(doubts_of("/%ff//;\\/../%2500%23%3f%09%00%5c%2f/a;b//%2f") ==
        "encoded_slash encoded_backslash encoded_nul encoded_control encoded_question_mark "
        "encoded_number_sign encoded_percent dot_segment backslash path_parameter double_slash "
        "non_utf8");
  CHECK(doubts_of("/..;/..%5c..%2f..") == "encoded_slash encoded_backslash path_parameter");
}

}  // namespace
}  // namespace warder::http
