#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "net/http/authority.h"
#include "net/result.h"

namespace warder::tls {

// What the first bytes of a client came to. All of it is the client's claim.
struct ClientHello {
  enum class Kind {
    tls,        // a whole ClientHello
    not_tls,    // the first byte is not that of a TLS handshake record (RFC 8446 section 5.1)
    malformed,  // it is, but no ClientHello that all implementations read alike
    too_large,  // not whole within kClientHelloBytes
  };
  Kind kind = Kind::malformed;
  std::optional<std::string> server_name;  // as sent, any bytes
  std::optional<http::Host> host;          // the same as a host, where it is one
  // encrypted_client_hello (RFC 9849) or its predecessor: server_name need not be the real name.
  bool encrypted = false;
  std::string detail;  // what is wrong, where something is
};

// Record headers included. Chromium's and curl's with a post-quantum key share have 2 KB at most.
inline constexpr std::size_t kClientHelloBytes = 16384;

// What all readers share. Any thread may make readers from it.
class ClientHelloParser {
 public:
  // Errors: system (OpenSSL could not be set up).
  static Result<ClientHelloParser> create();
  ClientHelloParser(ClientHelloParser&&) noexcept;
  ClientHelloParser& operator=(ClientHelloParser&&) noexcept;
  ~ClientHelloParser();

 private:
  friend class ClientHelloReader;
  struct State;
  explicit ClientHelloParser(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Reads one ClientHello, in as many records and pieces as it comes in. The bytes are only looked
// at: they stay the caller's, to be sent on as they are. OpenSSL does the parsing; what it lets
// pass and an origin might read in another way is malformed.
class ClientHelloReader {
 public:
  // `parser` outlives the reader.
  explicit ClientHelloReader(const ClientHelloParser& parser);
  ClientHelloReader(const ClientHelloReader&) = delete;
  ClientHelloReader& operator=(const ClientHelloReader&) = delete;
  ~ClientHelloReader();

  // True once outcome() stands; false when more bytes are needed. Where `bytes` are cut makes no
  // difference. Not to be fed any more after true.
  [[nodiscard]] bool feed(std::span<const char> bytes);
  [[nodiscard]] bool started() const { return fed_ > 0; }
  // After feed() returned true.
  [[nodiscard]] const ClientHello& outcome() const { return outcome_; }
  // How many of the bytes are the ClientHello's records, where the outcome is one.
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Session;
  bool finish(ClientHello::Kind kind, std::string detail);

  std::unique_ptr<Session> session_;
  ClientHello outcome_;
  std::size_t fed_ = 0;
  std::size_t size_ = 0;
};

}  // namespace warder::tls
