#include "net/utf8.h"

#include <catch2/catch_test_macros.hpp>
#include <string_view>

namespace warder {
namespace {

using std::string_view_literals::operator""sv;

TEST_CASE("utf-8: RFC 3629", "[net]") {
  for (const std::string_view good :
       {""sv, "a\0b"sv, "\x7F"sv, "\xC2\x80"sv, "\xDF\xBF"sv, "\xE0\xA0\x80"sv, "\xED\x9F\xBF"sv,
        "\xEE\x80\x80"sv, "\xEF\xBF\xBF"sv, "\xF0\x90\x80\x80"sv, "\xF4\x8F\xBF\xBF"sv}) {
    INFO(good);
    CHECK(is_utf8(good));
  }
  for (const std::string_view wrong : {"\x80"sv,
                                       "\xBF"sv,
                                       "\xC0\x80"sv,
                                       "\xC1\xBF"sv,
                                       "\xC2"sv,
                                       "\xC2\x41"sv,
                                       "\xC2\xC2"sv,
                                       "\xE0\x9F\xBF"sv,
                                       "\xE0\xA0"sv,
                                       "\xE1\x80\x41"sv,
                                       "\xED\xA0\x80"sv,
                                       "\xED\xBF\xBF"sv,
                                       "\xF0\x8F\xBF\xBF"sv,
                                       "\xF0\x90\x80"sv,
                                       "\xF1\x80\x80\x41"sv,
                                       "\xF4\x90\x80\x80"sv,
                                       "\xF5\x80\x80\x80"sv,
                                       "\xFE"sv,
                                       "\xFF"sv,
                                       "ok\xFFok"sv}) {
    INFO(wrong);
    CHECK_FALSE(is_utf8(wrong));
  }
  CHECK(utf8_prefix("12345678\xC3\xA9\xC3"sv) == 10);
  CHECK(utf8_prefix("\xC3\xA9"sv) == 2);
}

}  // namespace
}  // namespace warder
