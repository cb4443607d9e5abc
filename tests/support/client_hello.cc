#include "tests/support/client_hello.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <catch2/catch_test_macros.hpp>
#include <memory>

namespace warder::testing {

std::string openssl_hello(const std::string& name) {
  const std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)> context(SSL_CTX_new(TLS_client_method()),
                                                             SSL_CTX_free);
  const std::unique_ptr<SSL, void (*)(SSL*)> ssl(SSL_new(context.get()), SSL_free);
  REQUIRE(ssl);
  BIO* output = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), output);
  if (!name.empty()) {
    // The macro SSL_set_tlsext_host_name has a C cast.
    std::string copy = name;
    REQUIRE(SSL_ctrl(ssl.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                     copy.data()) == 1);
  }
  SSL_set_connect_state(ssl.get());
  REQUIRE(SSL_do_handshake(ssl.get()) == -1);
  std::string hello(16384, '\0');
  const int size = BIO_read(output, hello.data(), static_cast<int>(hello.size()));
  REQUIRE(size > 0);
  hello.resize(static_cast<std::size_t>(size));
  return hello;
}

std::string tls_number(std::size_t value) {
  return {static_cast<char>(value >> 8U), static_cast<char>(value)};
}

std::string tls_extension(unsigned type, const std::string& body) {
  return tls_number(type) + tls_number(body.size()) + body;
}

std::string server_name_extension(const std::string& name) {
  const std::string entry = '\0' + tls_number(name.size()) + name;
  return tls_extension(0, tls_number(entry.size()) + entry);
}

std::string hello_message(const std::string& extensions, unsigned version) {
  const std::string body = tls_number(version) + std::string(32, 'r') + '\0' +  // no session
                           tls_number(2) + "\x13\x01" +                         // one cipher suite
                           std::string("\x01\x00", 2) +                         // no compression
                           tls_number(extensions.size()) + extensions;
  return std::string("\x01\x00", 2) + tls_number(body.size()) + body;
}

std::string tls_record(unsigned type, const std::string& body) {
  return static_cast<char>(type) + std::string("\x03\x01") + tls_number(body.size()) + body;
}

std::string tls_records(const std::string& message, std::size_t bytes) {
  std::string out;
  for (std::size_t at = 0; at < message.size(); at += bytes) {
    out += tls_record(22, message.substr(at, bytes));
  }
  return out;
}

std::string server_hello(bool retry) {
  // The SHA-256 of "HelloRetryRequest" (RFC 8446 section 4.1.3).
  std::string random(32, 'r');
  if (retry) {
    const std::string text = "HelloRetryRequest";
    std::size_t size = 0;
    REQUIRE(EVP_Q_digest(nullptr, "SHA256", nullptr, text.data(), text.size(),
                         reinterpret_cast<unsigned char*>(random.data()), &size) == 1);
  }
  const std::string body = tls_number(0x0303) + random + '\0' + "\x13\x01" + '\0' + tls_number(0);
  return std::string("\x02\x00", 2) + tls_number(body.size()) + body;
}

std::string plain_hello(const std::string& name) {
  return tls_records(hello_message(server_name_extension(name)));
}

}  // namespace warder::testing
