#include "net/tls/records.h"

#include <catch2/catch_test_macros.hpp>

#include "tests/support/client_hello.h"

namespace {

using warder::testing::server_hello;
using warder::testing::tls_record;
using warder::testing::tls_records;
using warder::tls::before_second_hello;
using warder::tls::read_server_answer;
using warder::tls::ServerAnswer;

TEST_CASE("tls: an alert is one record", "[tls]") {
  CHECK(warder::tls::fatal_alert(warder::tls::AlertDescription::unrecognized_name) ==
        std::string("\x15\x03\x03\x00\x02\x02\x70", 7));
}

TEST_CASE("tls: a HelloRetryRequest is told from a ServerHello, cut anywhere", "[tls]") {
  for (const bool retry : {true, false}) {
    const std::string answer = tls_records(server_hello(retry));
    for (std::size_t size = 0; size < 43; ++size) {
      CHECK(read_server_answer(std::string_view(answer).substr(0, size)) ==
            ServerAnswer::incomplete);
    }
    const ServerAnswer want = retry ? ServerAnswer::hello_retry : ServerAnswer::other;
    CHECK(read_server_answer(std::string_view(answer).substr(0, 43)) == want);
    CHECK(read_server_answer(answer) == want);
    CHECK(read_server_answer(tls_records(server_hello(retry), 1)) == want);
    CHECK(read_server_answer(answer + tls_record(20, "\1")) == want);
  }
}

TEST_CASE("tls: other answers of a server are known early", "[tls]") {
  CHECK(read_server_answer(tls_record(21, "\2\50")) == ServerAnswer::other);
  CHECK(read_server_answer("H") == ServerAnswer::other);
  CHECK(read_server_answer(tls_records(std::string(1, '\1'))) == ServerAnswer::other);
  CHECK(read_server_answer(tls_records("\2") + tls_record(21, "\2\50")) == ServerAnswer::other);
}

TEST_CASE("tls: what may come before a second ClientHello", "[tls]") {
  const std::string change = tls_record(20, "\1");
  const std::string early = tls_record(23, std::string(300, 'e'));
  CHECK(before_second_hello("\x16") == 0);
  CHECK(before_second_hello(change + "\x16") == 6);
  CHECK(before_second_hello(change + early + early + "\x16") == 6 + 2 * 305);
  CHECK(before_second_hello(change + "\x15") == 6);
  CHECK_FALSE(before_second_hello(""));
  CHECK_FALSE(before_second_hello(change));
  CHECK_FALSE(before_second_hello(change.substr(0, 3)));
  CHECK_FALSE(before_second_hello(change + early.substr(0, 304)));
}

}  // namespace
