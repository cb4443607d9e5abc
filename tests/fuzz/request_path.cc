#include "net/http/request_path.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "require.h"

namespace {

using warder::Result;
using warder::http::RequestForm;
using warder::http::RequestHead;
using warder::http::RequestPath;

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

// Written apart from the code under test.
std::string decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    REQUIRE_THAT(text.size() - i > 2 && is_hex(text[i + 1]) && is_hex(text[i + 2]));
    out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
    i += 2;
  }
  return out;
}

RequestHead head_of(std::string_view method, const std::string& rest) {
  RequestHead head;
  head.method = method;
  head.target = "http://h" + rest;
  head.form = RequestForm::absolute;
  return head;
}

bool doubted(const RequestPath& path, std::string_view doubt) {
  return std::find(path.doubts.begin(), path.doubts.end(), doubt) != path.doubts.end();
}

void check_doubts(const RequestPath& path) {
  const std::string bytes = decode(path.path);
  const auto has = [](std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
  };
  const auto slashes = [](std::string_view text) {
    return std::count(text.begin(), text.end(), '/');
  };
  REQUIRE_THAT(doubted(path, "encoded_slash") == (slashes(bytes) != slashes(path.path)));
  REQUIRE_THAT(doubted(path, "encoded_nul") == has(bytes, std::string_view("\0", 1)));
  REQUIRE_THAT(doubted(path, "double_slash") == has(path.path, "//"));
  REQUIRE_THAT(doubted(path, "path_parameter") == has(bytes, ";"));
  const bool any_backslash = doubted(path, "backslash") || doubted(path, "encoded_backslash");
  REQUIRE_THAT(any_backslash == has(bytes, "\\"));
  if (path.doubts.empty()) {
    const std::string closed = bytes + "/";
    REQUIRE_THAT(!has(closed, "/../") && !has(closed, "/./"));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string rest(reinterpret_cast<const char*>(data), size);
  // What a RequestHeadReader lets through behind the authority.
  const bool sent =
      std::all_of(rest.begin(), rest.end(), [](char c) { return c > ' ' && c < 127 && c != '#'; });
  if (!sent || (!rest.empty() && rest.front() != '/' && rest.front() != '?')) return 0;

  const Result<RequestPath> path = warder::http::read_request_path(head_of("GET", rest));
  if (!path) {
    REQUIRE_THAT(path.error().code == warder::Errc::bad_request);
    REQUIRE_THAT(rest.find('%') != std::string::npos);
    return 0;
  }
  REQUIRE_THAT(path->raw == (rest.starts_with('/') ? rest : "/" + rest));
  REQUIRE_THAT(decode(path->path_raw) == decode(path->path));
  REQUIRE_THAT(path->query_raw.has_value() == path->query.has_value());
  if (path->query) REQUIRE_THAT(decode(*path->query_raw) == decode(*path->query));
  check_doubts(*path);

  const std::string canonical = path->path + (path->query ? "?" + *path->query : "");
  const Result<RequestPath> again = warder::http::read_request_path(head_of("GET", canonical));
  REQUIRE_THAT(again && again->path == path->path && again->path_raw == path->path);
  REQUIRE_THAT(again->query == path->query && again->doubts == path->doubts);
  return 0;
}
