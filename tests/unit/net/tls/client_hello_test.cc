#include "net/tls/client_hello.h"

#include <algorithm>
#include <catch2/catch_test_macros.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <map>

#include "tests/support/client_hello.h"

namespace {

using warder::testing::hello_message;
using warder::testing::openssl_hello;
using warder::testing::plain_hello;
using warder::testing::server_name_extension;
using warder::testing::tls_extension;
using warder::testing::tls_number;
using warder::testing::tls_record;
using warder::testing::tls_records;
using warder::tls::ClientHello;
using warder::tls::ClientHelloParser;
using warder::tls::ClientHelloReader;
using warder::tls::kClientHelloBytes;
using Kind = ClientHello::Kind;

constexpr std::size_t kWhole = std::size_t{1} << 20;

const ClientHelloParser& parser() {
  static const ClientHelloParser kParser = ClientHelloParser::create().value();
  return kParser;
}

// nullopt when it wants more than there is.
std::optional<ClientHello> read(std::string_view bytes, std::size_t piece = kWhole) {
  ClientHelloReader reader(parser());
  while (!bytes.empty()) {
    const std::string_view next = bytes.substr(0, piece);
    bytes.remove_prefix(next.size());
    if (reader.feed(next)) return reader.outcome();
  }
  return std::nullopt;
}

std::string with_extensions(const std::string& extensions) {
  return tls_records(hello_message(extensions));
}

std::string name_list(const std::string& entries) {
  return tls_extension(0, tls_number(entries.size()) + entries);
}

void check_malformed(const std::string& bytes) {
  for (const std::size_t piece : {kWhole, std::size_t{1}, std::size_t{7}}) {
    const auto hello = read(bytes, piece);
    REQUIRE(hello);
    CHECK(hello->kind == Kind::malformed);
    CHECK_FALSE(hello->detail.empty());
  }
}

TEST_CASE("client hello: the name is found however the bytes are cut", "[tls]") {
  const std::string whole = openssl_hello("api.example.com");
  for (std::size_t first = 1; first < whole.size(); ++first) {
    ClientHelloReader reader(parser());
    REQUIRE_FALSE(reader.feed(std::string_view(whole).substr(0, first)));
    REQUIRE(reader.feed(std::string_view(whole).substr(first)));
    REQUIRE(reader.outcome().kind == Kind::tls);
    REQUIRE(reader.outcome().server_name == "api.example.com");
  }
  for (const std::size_t piece : std::initializer_list<std::size_t>{1, 2, 3, 100}) {
    const auto hello = read(whole, piece);
    REQUIRE(hello);
    CHECK(hello->server_name == "api.example.com");
  }
}

TEST_CASE("client hello: several records, down to one byte in each", "[tls]") {
  const std::string message = openssl_hello("api.example.com").substr(5);
  for (const std::size_t bytes : std::initializer_list<std::size_t>{1, 2, 5, 64, 200}) {
    const auto hello = read(tls_records(message, bytes), bytes == 1 ? 1 : kWhole);
    REQUIRE(hello);
    CHECK(hello->kind == Kind::tls);
    CHECK(hello->server_name == "api.example.com");
  }
}

TEST_CASE("client hello: what follows it makes no difference", "[tls]") {
  const std::string early_data = tls_record(23, "early data") + "and what is no TLS at all";
  const std::string alone = plain_hello("a.example");
  ClientHelloReader reader(parser());
  REQUIRE(reader.feed(alone + early_data));
  CHECK(reader.outcome().kind == Kind::tls);
  CHECK(reader.outcome().server_name == "a.example");
  CHECK(reader.size() == alone.size());
}

TEST_CASE("client hello: of real clients", "[tls]") {
  const std::map<std::string, std::optional<std::string>> names = {
      {"chromium", "api.example.com"},  {"curl", "api.example.com"},
      {"curl_address", std::nullopt},   {"curl_tls12", "api.example.com"},
      {"gnutls", "localhost"},          {"go", "api.example.com"},
      {"node", "api.example.com"},      {"openssl", "api.example.com"},
      {"openssl_address", "127.0.0.1"}, {"openssl_dot", "api.example.com."},
      {"openssl_noname", std::nullopt}, {"python", "api.example.com"},
  };
  for (const auto& [client, name] : names) {
    INFO(client);
    const std::filesystem::path path =
        std::filesystem::path(WARDER_SOURCE_DIR "/tests/fuzz/corpus/fuzz_client_hello") / client;
    std::ifstream file(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    for (const std::size_t piece : {kWhole, std::size_t{1}}) {
      const auto hello = read(bytes, piece);
      REQUIRE(hello);
      CHECK(hello->kind == Kind::tls);
      CHECK(hello->server_name == name);
      // Chromium sends it to everybody, filled with random bytes where it has no key (RFC 9849
      // section 6.2).
      CHECK(hello->encrypted == (client == "chromium"));
    }
  }
}

TEST_CASE("client hello: names as hosts", "[tls]") {
  const std::map<std::string, std::optional<std::string>> hosts = {
      {"API.Example.Com", "api.example.com"},
      {"api.example.com.", "api.example.com"},
      {"under_score.example", "under_score.example"},
      {"192.0.2.1", "192.0.2.1"},
      {"2001:DB8::1", "2001:db8::1"},
      {"::ffff:192.0.2.1", "192.0.2.1"},
      {"0x7f.1", std::nullopt},
      {"b\xC3\xBC"
       "cher.example",
       std::nullopt},
      {std::string("api.example.com\0.evil.example", 29), std::nullopt},
      {std::string("api.example.com\0", 16), std::nullopt},
      {"api.example.com ", std::nullopt},
      {"api.example.com:443", std::nullopt},
      {"*.example.com", std::nullopt},
      {".", std::nullopt},
      {std::string(254, 'a'), std::nullopt},
  };
  for (const auto& [name, host] : hosts) {
    INFO(name);
    const auto hello = read(plain_hello(name));
    REQUIRE(hello);
    CHECK(hello->kind == Kind::tls);
    CHECK(hello->server_name == name);
    CHECK(hello->host.has_value() == host.has_value());
    if (hello->host && host) CHECK(hello->host->name == *host);
  }
}

TEST_CASE("client hello: without a name", "[tls]") {
  for (const std::string& bytes :
       {openssl_hello(""), with_extensions(""), with_extensions(tls_extension(0x1a1a, "grease"))}) {
    const auto hello = read(bytes);
    REQUIRE(hello);
    CHECK(hello->kind == Kind::tls);
    CHECK_FALSE(hello->server_name);
    CHECK_FALSE(hello->host);
  }
}

TEST_CASE("client hello: a hidden name is told", "[tls]") {
  const std::string name = server_name_extension("outer.example");
  for (const unsigned type : {0xfe0dU, 0xffceU}) {
    const auto hello = read(with_extensions(name + tls_extension(type, "sealed")));
    REQUIRE(hello);
    CHECK(hello->kind == Kind::tls);
    CHECK(hello->encrypted);
    CHECK(hello->server_name == "outer.example");
    check_malformed(with_extensions(tls_extension(type, "a") + name + tls_extension(type, "b")));
  }
  // GREASE (RFC 8701), also twice.
  const std::string grease = tls_extension(0x2a2a, "x");
  const auto plain = read(with_extensions(grease + name + grease));
  REQUIRE(plain);
  CHECK(plain->kind == Kind::tls);
  CHECK_FALSE(plain->encrypted);
}

TEST_CASE("client hello: a name that could be read in two ways is none", "[tls]") {
  const std::string one = server_name_extension("a.example");
  const std::string entry_a = '\0' + tls_number(1) + "a";
  const std::string entry_b = '\0' + tls_number(1) + "b";
  check_malformed(with_extensions(one + server_name_extension("b.example")));
  check_malformed(with_extensions(one + one));
  check_malformed(with_extensions(name_list(entry_a + entry_b)));
  check_malformed(with_extensions(name_list('\1' + tls_number(1) + "a" + entry_b)));
  check_malformed(with_extensions(name_list(entry_a + '\1' + tls_number(1) + "b")));
  check_malformed(with_extensions(name_list('\1' + tls_number(1) + "a")));
  check_malformed(with_extensions(name_list('\0' + tls_number(0))));
  check_malformed(with_extensions(name_list('\0' + tls_number(2) + "a")));
  check_malformed(with_extensions(name_list("")));
  check_malformed(with_extensions(tls_extension(0, "")));
  check_malformed(with_extensions(tls_extension(0, tls_number(4) + entry_a + "trail")));
  check_malformed(with_extensions(tls_extension(0, tls_number(9) + entry_a)));
}

TEST_CASE("client hello: what is not well formed", "[tls]") {
  const std::string message = hello_message(server_name_extension("a.example"));
  std::string longer = message;
  longer[3] = static_cast<char>(longer[3] + 2);  // its own length, without the extensions'
  check_malformed(tls_records(longer + "xx"));
  check_malformed(tls_records('\2' + message.substr(1)));        // a ServerHello
  check_malformed(tls_records(std::string(4, '\0') + message));  // a HelloRequest first
  check_malformed(tls_records(hello_message(server_name_extension("a.example"), 0x0300)));
  check_malformed(tls_records(hello_message(server_name_extension("a.example"), 0x0200)));
  check_malformed(tls_records(hello_message(server_name_extension("a.example"), 0x7f1c)));
  check_malformed(std::string("\x16\x02\x01", 3) + tls_number(message.size()) + message);
  check_malformed(std::string("\x16\x04\x01", 3) + tls_number(message.size()) + message);
  check_malformed(std::string("\x16\x03\x01\xff\xff", 5) + std::string(65535, 'x'));
  check_malformed(tls_records(message + hello_message(server_name_extension("b.example"))));
  check_malformed(tls_records(message + "\1"));
  // Other records before its end.
  const std::string begun = tls_records(message.substr(0, 20));
  const std::string rest = tls_records(message.substr(20));
  check_malformed(begun + tls_record(20, "\1") + rest);
  check_malformed(begun + tls_record(21, std::string("\1\0", 2)) + rest);
  check_malformed(begun + tls_record(23, "data") + rest);
}

TEST_CASE("client hello: what is not TLS is known by its first byte", "[tls]") {
  const std::string hello = plain_hello("a.example");
  // The form of SSL 2.0 (RFC 6101 appendix E), which OpenSSL would read.
  const std::string ssl2 = std::string("\x80\x2e\x01\x03\x01\x00\x03\x00\x00\x00\x10", 11) +
                           std::string("\x00\x00\x2f", 3) + std::string(32, 'c');
  for (const std::string& bytes :
       {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("SSH-2.0-OpenSSH_9.2\r\n"), ssl2,
        std::string("\0", 1), "\r\n" + hello, tls_record(21, std::string("\1\0", 2)) + hello,
        tls_record(20, "\1") + hello}) {
    const auto outcome = read(bytes, 1);
    REQUIRE(outcome);
    CHECK(outcome->kind == Kind::not_tls);
    CHECK(outcome->detail.starts_with("the first byte is 0x"));
  }
}

TEST_CASE("client hello: bounded", "[tls]") {
  // 4 bytes of header before the body, 42 of it before the extensions, 5 of the record's, 4 of the
  // padding's.
  const auto of_size = [](std::size_t bytes) {
    const std::string name = server_name_extension("a.example");
    return with_extensions(name + tls_extension(21, std::string(bytes - 56 - name.size(), '\0')));
  };
  // The headers of records count.
  const std::string many_records =
      tls_records(hello_message(tls_extension(21, std::string(4000, '\0'))), 1);
  const auto fits = read(of_size(kClientHelloBytes));
  REQUIRE(fits);
  CHECK(of_size(kClientHelloBytes).size() == kClientHelloBytes);
  CHECK(fits->kind == Kind::tls);
  for (const std::size_t piece : {kWhole, std::size_t{1}, std::size_t{1000}}) {
    CHECK(read(of_size(kClientHelloBytes), piece)->kind == Kind::tls);
    CHECK(read(of_size(kClientHelloBytes + 1), piece)->kind == Kind::too_large);
    CHECK(read(of_size(60000), piece)->kind == Kind::too_large);
    CHECK(read(many_records, piece)->kind == Kind::too_large);
  }
  CHECK_FALSE(read(of_size(kClientHelloBytes).substr(0, kClientHelloBytes - 1)));
  CHECK_FALSE(read(""));
  CHECK_FALSE(read("\x16"));
}

TEST_CASE("client hello: how long it takes", "[.][bench]") {
  const std::string whole = openssl_hello("api.example.com");
  constexpr int kRounds = 20000;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < kRounds; ++i) REQUIRE(read(whole)->kind == Kind::tls);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - began;
  WARN("microseconds for each: " << took.count() / kRounds);
}

}  // namespace
