#include "net/tls/records.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace warder::tls {
namespace {

// RFC 8446 section 5.1.
constexpr std::size_t kHeader = 5;
enum ContentType : unsigned char { change_cipher_spec = 20, handshake = 22, application_data = 23 };

// RFC 8446 section 4.1.3: the random of a ServerHello that is a HelloRetryRequest.
constexpr std::array<unsigned char, 32> kHelloRetryRandom = {
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c};
constexpr char kServerHello = 2;
constexpr std::size_t kBeforeRandom = 6;  // type, length, version

unsigned char type_of(std::string_view record) { return static_cast<unsigned char>(record[0]); }

std::size_t length_of(std::string_view record) {
  return (std::size_t{static_cast<unsigned char>(record[3])} << 8U) |
         static_cast<unsigned char>(record[4]);
}

}  // namespace

std::string fatal_alert(AlertDescription description) {
  constexpr char kFatal = 2;
  return {21, 3, 3, 0, 2, kFatal, static_cast<char>(description)};
}

ServerAnswer read_server_answer(std::string_view bytes) {
  std::string message;
  while (message.size() < kBeforeRandom + kHelloRetryRandom.size()) {
    if (bytes.empty()) return ServerAnswer::incomplete;
    if (type_of(bytes) != handshake) return ServerAnswer::other;
    if (bytes.size() < kHeader) return ServerAnswer::incomplete;
    const std::size_t length = length_of(bytes);
    message += bytes.substr(kHeader, length);
    if (!message.empty() && message[0] != kServerHello) return ServerAnswer::other;
    bytes.remove_prefix(std::min(bytes.size(), kHeader + length));
  }
  const bool retry = std::equal(
      kHelloRetryRandom.begin(), kHelloRetryRandom.end(), message.begin() + kBeforeRandom,
      [](unsigned char want, char got) { return want == static_cast<unsigned char>(got); });
  return retry ? ServerAnswer::hello_retry : ServerAnswer::other;
}

std::optional<std::size_t> before_second_hello(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    const std::string_view record = bytes.substr(at);
    if (type_of(record) != change_cipher_spec && type_of(record) != application_data) return at;
    if (record.size() < kHeader || record.size() < kHeader + length_of(record)) break;
    at += kHeader + length_of(record);
  }
  return std::nullopt;
}

}  // namespace warder::tls
