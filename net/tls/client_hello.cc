#include "net/tls/client_hello.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>

namespace warder::tls {
namespace {

constexpr char kHandshakeRecord = 22;               // RFC 8446 section 5.1
constexpr unsigned kEncryptedClientHello = 0xfe0d;  // RFC 9849 section 5
constexpr unsigned kEncryptedServerName = 0xffce;   // draft-ietf-tls-esni-00 to -06

std::string first_openssl_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_error());
  return reason != nullptr ? reason : "unknown error";
}

// RFC 6066 section 3: a list, which can hold no more than one name of the type host_name, and no
// other type exists.
Result<std::string> read_server_name(std::string_view extension) {
  const auto number = [&](std::size_t at) {
    return std::size_t{static_cast<unsigned char>(extension[at])} << 8U |
           static_cast<unsigned char>(extension[at + 1]);
  };
  constexpr std::size_t kBeforeName = 5;  // length of the list, type, length of the name
  if (extension.size() <= kBeforeName) return fail(Errc::bad_request, "server_name: no name");
  if (number(0) != extension.size() - 2) {
    return fail(Errc::bad_request, "server_name: the list has another length than the extension");
  }
  if (extension[2] != 0) return fail(Errc::bad_request, "server_name: not a host_name");
  if (number(3) != extension.size() - kBeforeName) {
    return fail(Errc::bad_request, "server_name: not exactly one name");
  }
  return std::string(extension.substr(kBeforeName));
}

// An address stands without brackets in a server_name, where it stands against RFC 6066.
std::optional<http::Host> host_of(const std::string& name) {
  if (const auto address = net::IpAddress::parse(name)) {
    return http::Host{address->unmapped().text(), address->unmapped()};
  }
  Result<http::Host> host = http::parse_host(name);
  return host ? std::optional(std::move(*host)) : std::nullopt;
}

std::optional<std::string_view> find_extension(SSL* ssl, unsigned type) {
  const unsigned char* data = nullptr;
  std::size_t size = 0;
  if (SSL_client_hello_get0_ext(ssl, type, &data, &size) != 1) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(data), size);
}

ClientHello describe_hello(SSL* ssl) {
  ClientHello hello;
  hello.encrypted = find_extension(ssl, kEncryptedClientHello).has_value() ||
                    find_extension(ssl, kEncryptedServerName).has_value();
  // SSL 3.0 has no extensions: an origin that speaks it need not look at the name.
  const unsigned version = SSL_client_hello_get0_legacy_version(ssl);
  if (version <= SSL3_VERSION || version >> 8U != SSL3_VERSION_MAJOR) {
    hello.detail = fmt::format("version 0x{:04x}", version);
    return hello;
  }
  if (const auto extension = find_extension(ssl, TLSEXT_TYPE_server_name)) {
    Result<std::string> name = read_server_name(*extension);
    if (!name) {
      hello.detail = std::move(name.error().detail);
      return hello;
    }
    hello.host = host_of(*name);
    hello.server_name = std::move(*name);
  }
  hello.kind = ClientHello::Kind::tls;
  return hello;
}

// OpenSSL has parsed the message, and refused what is in it twice, but hasn't acted on it.
int on_client_hello(SSL* ssl, int* /*alert*/, void* /*arg*/) {
  *static_cast<ClientHello*>(SSL_get_app_data(ssl)) = describe_hello(ssl);
  return SSL_CLIENT_HELLO_RETRY;
}

// OpenSSL shows, and refuses twice, only the extensions it knows.
bool make_known(SSL_CTX* context, unsigned type) {
  return SSL_extension_supported(type) == 1 ||
         SSL_CTX_add_custom_ext(context, type, SSL_EXT_CLIENT_HELLO, nullptr, nullptr, nullptr,
                                nullptr, nullptr) == 1;
}

}  // namespace

struct ClientHelloParser::State {
  struct FreeContext {
    void operator()(SSL_CTX* owned) const { SSL_CTX_free(owned); }
  };
  std::unique_ptr<SSL_CTX, FreeContext> context;
};

ClientHelloParser::ClientHelloParser(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClientHelloParser::ClientHelloParser(ClientHelloParser&&) noexcept = default;
ClientHelloParser& ClientHelloParser::operator=(ClientHelloParser&&) noexcept = default;
ClientHelloParser::~ClientHelloParser() = default;

Result<ClientHelloParser> ClientHelloParser::create() {
  ERR_clear_error();
  auto state = std::make_unique<State>();
  state->context.reset(SSL_CTX_new(TLS_server_method()));
  if (!state->context || !make_known(state->context.get(), kEncryptedClientHello) ||
      !make_known(state->context.get(), kEncryptedServerName)) {
    Error error{Errc::system, 0, "OpenSSL: " + first_openssl_reason()};
    ERR_clear_error();
    return fail(std::move(error));
  }
  SSL_CTX_set_client_hello_cb(state->context.get(), on_client_hello, nullptr);
  return ClientHelloParser(std::move(state));
}

struct ClientHelloReader::Session {
  struct FreeSession {
    void operator()(SSL* session) const { SSL_free(session); }
  };
  std::unique_ptr<SSL, FreeSession> ssl;
  BIO* input = nullptr;  // the session's
};

ClientHelloReader::ClientHelloReader(const ClientHelloParser& parser)
    : session_(std::make_unique<Session>()) {
  session_->ssl.reset(SSL_new(parser.state_->context.get()));
  BIO* input = BIO_new(BIO_s_mem());
  BIO* output = BIO_new(BIO_s_null());  // the alerts of OpenSSL reach nobody
  if (!session_->ssl || input == nullptr || output == nullptr) {
    BIO_free(input);
    BIO_free(output);
    return;
  }
  SSL_set_bio(session_->ssl.get(), input, output);
  session_->input = input;
  SSL_set_app_data(session_->ssl.get(), &outcome_);
  SSL_set_accept_state(session_->ssl.get());
}

ClientHelloReader::~ClientHelloReader() = default;

bool ClientHelloReader::finish(ClientHello::Kind kind, std::string detail) {
  outcome_.kind = kind;
  outcome_.detail = std::move(detail);
  return true;
}

bool ClientHelloReader::feed(std::span<const char> bytes) {
  if (bytes.empty()) return false;
  if (fed_ == 0 && bytes[0] != kHandshakeRecord) {
    // Also what keeps the SSL 2.0 form of a ClientHello from OpenSSL, which reads it.
    fed_ = bytes.size();
    return finish(ClientHello::Kind::not_tls,
                  fmt::format("the first byte is 0x{:02x}", static_cast<unsigned char>(bytes[0])));
  }
  const std::size_t taken = std::min(bytes.size(), kClientHelloBytes - fed_);
  fed_ += taken;
  ERR_clear_error();
  if (session_->input == nullptr ||
      BIO_write(session_->input, bytes.data(), static_cast<int>(taken)) < 0) {
    return finish(ClientHello::Kind::malformed, "OpenSSL is out of memory");
  }
  const int error = SSL_get_error(session_->ssl.get(), SSL_do_handshake(session_->ssl.get()));
  if (error == SSL_ERROR_WANT_CLIENT_HELLO_CB) {
    size_ = fed_ - BIO_ctrl_pending(session_->input);
    if (outcome_.kind != ClientHello::Kind::tls || SSL_has_pending(session_->ssl.get()) == 0) {
      return true;
    }
    // A client has nothing to say in there; it could be a second ClientHello.
    return finish(ClientHello::Kind::malformed, "its last record goes on behind it");
  }
  if (error == SSL_ERROR_WANT_READ) {
    if (fed_ < kClientHelloBytes) return false;
    return finish(ClientHello::Kind::too_large,
                  fmt::format("not whole within {} bytes", kClientHelloBytes));
  }
  std::string reason = first_openssl_reason();
  ERR_clear_error();
  return finish(ClientHello::Kind::malformed, std::move(reason));
}

}  // namespace warder::tls
