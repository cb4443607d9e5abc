#pragma once

#include <cstddef>
#include <string>

namespace warder::testing {

// The first flight of OpenSSL's client for that name, or with none where it is empty.
[[nodiscard]] std::string openssl_hello(const std::string& name);

// Parts of a ClientHello made by hand (RFC 8446 section 4.1.2), right or wrong.
[[nodiscard]] std::string tls_number(std::size_t value);  // two bytes
[[nodiscard]] std::string tls_extension(unsigned type, const std::string& body);
[[nodiscard]] std::string server_name_extension(const std::string& name);
[[nodiscard]] std::string hello_message(const std::string& extensions, unsigned version = 0x0303);
// `message` in handshake records of at most that many bytes each.
[[nodiscard]] std::string tls_records(const std::string& message, std::size_t bytes = 16384);
[[nodiscard]] std::string tls_record(unsigned type, const std::string& body);

// The beginning of a server's answer; with the random of a HelloRetryRequest.
[[nodiscard]] std::string server_hello(bool retry);

// All of it: a ClientHello with that name in one record.
[[nodiscard]] std::string plain_hello(const std::string& name);

}  // namespace warder::testing
