#include "proxy/text_escape.h"

#include <catch2/catch_test_macros.hpp>
#include <string>

namespace warder::proxy {

TEST_CASE("visible text is printable ASCII") {
  CHECK(visible("/usr/bin/curl") == "/usr/bin/curl");
  CHECK(visible("a\r\nb\x1b[2J\x7f") == "a\\x0d\\x0ab\\x1b[2J\\x7f");
  CHECK(visible("\xc3\xa9") == "\\xc3\\xa9");
  CHECK(visible(std::string("a\0b", 3)) == "a\\x00b");
}

TEST_CASE("different bytes never look the same") {
  CHECK(visible("\xff") != visible("\\xff"));
  CHECK(visible("\\xff") == "\\x5cxff");
  CHECK(valid_utf8("\xff", 100) != valid_utf8("\\xff", 100));
  CHECK(valid_utf8("C:\\dir\\", 100) == "C:\\dir\\");
}

TEST_CASE("valid UTF-8 is kept and the rest is escaped") {
  CHECK(valid_utf8("d\xc3\xa9j\xc3\xa0 \xe2\x82\xac \xf0\x9f\x92\xa9", 100) ==
        "d\xc3\xa9j\xc3\xa0 \xe2\x82\xac \xf0\x9f\x92\xa9");
  CHECK(valid_utf8("\xc0\xaf", 100) == "\\xc0\\xaf");                    // overlong
  CHECK(valid_utf8("\xed\xa0\x80", 100) == "\\xed\\xa0\\x80");           // surrogate
  CHECK(valid_utf8("\xf4\x90\x80\x80", 100) == "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  CHECK(valid_utf8("a\xe2\x82", 100) == "a\\xe2\\x82");                  // cut off
  CHECK(valid_utf8("\x7f", 100) == "\\x7f");
}

TEST_CASE("long text is cut and says so") {
  CHECK(valid_utf8("abcdef", 4) == "abcd (2 bytes more)");
  CHECK(valid_utf8("abcd", 4) == "abcd");
}

TEST_CASE("header text can't begin another field") {
  CHECK(header_text("a\r\nX-Injected: 1", 100) == "a\\x0d\\x0aX-Injected: 1");
  CHECK(header_text(std::string(300, '\n'), 10).size() == 10);
}

}  // namespace warder::proxy
