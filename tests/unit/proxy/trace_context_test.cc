#include "proxy/trace_context.h"

#include <catch2/catch_test_macros.hpp>
#include <string>
#include <vector>

namespace warder::proxy {
namespace {

constexpr std::string_view kId = "0123456789abcdef0123456789abcdef";
constexpr std::string_view kOwn = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";

std::string of(const std::vector<std::string>& sent, std::string_view id = kId) {
  http::RequestHead head;
  for (const std::string& value : sent) head.headers.push_back({"TraceParent", value});
  return trace_parent(head, id);
}

TEST_CASE("trace context: the client's trace goes on") {
  CHECK(of({"00-" + kTrace + "-00f067aa0ba902b7-00"}) == "00-" + kTrace + "-0123456789abcdef-00");
  CHECK(of({"cc-" + kTrace + "-00f067aa0ba902b7-01-what-comes-later"}) ==
        "00-" + kTrace + "-0123456789abcdef-01");
}

TEST_CASE("trace context: else the request's id names one") {
  CHECK(of({}) == kOwn);
  const std::string good = "00-" + kTrace + "-00f067aa0ba902b7-01";
  CHECK(of({good, good}) == kOwn);
  const std::vector<std::string> bad{"",
                                     "00",
                                     good.substr(1),
                                     good + "-x",
                                     good + "x",
                                     "ff" + good.substr(2),
                                     "cc" + good.substr(2) + "x",
                                     "0G" + good.substr(2),
                                     "00-" + std::string(32, '0') + "-00f067aa0ba902b7-01",
                                     "00-" + kTrace + "-0000000000000000-01",
                                     "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                                     "00-" + kTrace + "-00f067aa0ba902b7-0x",
                                     "00_" + kTrace + "-00f067aa0ba902b7-01"};
  for (const std::string& sent : bad) {
    INFO(sent);
    CHECK(of({sent}) == kOwn);
  }
}

TEST_CASE("trace context: an id that can't name one") {
  CHECK(of({}, "").empty());
  CHECK(of({}, "r-1").empty());
  CHECK(of({}, std::string(32, '0')).empty());
  CHECK(of({}, std::string(30, '0') + "\r\n").empty());
}

}  // namespace
}  // namespace warder::proxy
