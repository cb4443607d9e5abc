#include "net/tls/client_stream.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <mutex>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "net/address.h"
#include "net/timer.h"

namespace warder::tls {
namespace {

constexpr std::size_t kPiece = 16384;  // the largest record's content (RFC 8446 section 5.1)

// More than one server's connections of one worker that end together.
constexpr std::size_t kMostSessions = 64;

constexpr int kOwner = 0;  // the index that SSL_set_app_data uses

// What OpenSSL said last, or the error of the system that began it. Empties its queue of this
// thread.
std::string openssl_reason() {
  if (const auto first = ERR_peek_error(); ERR_SYSTEM_ERROR(first)) {
    ERR_clear_error();
    return std::generic_category().message(ERR_GET_REASON(first));
  }
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return reason == nullptr ? "unknown error" : reason;
}

tl::unexpected<Error> bad_file(std::string_view key, const std::string& path) {
  return fail(Errc::bad_config, fmt::format("{} {}: {}", key, path, openssl_reason()));
}

// Instead of asking the terminal.
int no_pass_phrase(char* /*into*/, int /*size*/, int /*writing*/, void* /*data*/) { return -1; }

Result<void> load(SSL_CTX* context, const ClientFiles& files) {
  const bool trust = files.ca_file.empty()
                         ? SSL_CTX_set_default_verify_paths(context) == 1
                         : SSL_CTX_load_verify_file(context, files.ca_file.c_str()) == 1;
  if (!trust) return bad_file("the authorities' file", files.ca_file);
  if (files.cert_file.empty()) {
    if (files.key_file.empty()) return {};
    return fail(Errc::bad_config, files.key_file + " is a key without a certificate");
  }
  if (SSL_CTX_use_certificate_chain_file(context, files.cert_file.c_str()) != 1) {
    return bad_file("the certificate's file", files.cert_file);
  }
  const std::string& key = files.key_file.empty() ? files.cert_file : files.key_file;
  if (SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context) != 1) {
    return bad_file("the key's file", key);
  }
  return {};
}

}  // namespace

struct ClientContext::State {
  struct FreeContext {
    void operator()(SSL_CTX* owned) const { SSL_CTX_free(owned); }
  };
  struct FreeSession {
    void operator()(SSL_SESSION* session) const { SSL_SESSION_free(session); }
  };
  using Session = std::unique_ptr<SSL_SESSION, FreeSession>;

  std::unique_ptr<SSL_CTX, FreeContext> context;

  // A session is of the peer that proved itself in it, and is taken up once (RFC 8446 section C.4).
  void keep(const std::string& peer, Session session) {
    const std::lock_guard lock(mutex);
    if (sessions.size() == kMostSessions) sessions.erase(sessions.begin());
    sessions.emplace_back(peer, std::move(session));
  }
  Session take(const std::string& peer) {
    const std::lock_guard lock(mutex);
    const auto found = std::find_if(sessions.rbegin(), sessions.rend(),
                                    [&](const auto& kept) { return kept.first == peer; });
    if (found == sessions.rend()) return nullptr;
    Session session = std::move(found->second);
    sessions.erase(std::next(found).base());
    return session;
  }

  std::mutex mutex;                                       // guards what follows
  std::vector<std::pair<std::string, Session>> sessions;  // by peer, the oldest first
};

ClientContext::ClientContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
ClientContext::~ClientContext() = default;

// OpenSSL reads and writes memory; this moves the bytes between there and the stream below.
class ClientStream final : public net::ByteStream, private net::ByteStream::Listener {
 public:
  static Result<std::unique_ptr<net::ByteStream>> open(net::Loop& loop,
                                                       std::shared_ptr<const ClientContext> context,
                                                       const std::string& peer,
                                                       const OpenStream& open_below,
                                                       net::ByteStream::Listener& listener) {
    ERR_clear_error();
    std::unique_ptr<ClientStream> stream(
        new ClientStream(loop, std::move(context), peer, listener));
    if (!stream->prepare()) {
      return fail(Errc::system, "OpenSSL: " + openssl_reason());
    }
    auto below = open_below(*stream);
    if (!below) return fail(std::move(below.error()));
    stream->below_ = std::move(*below);
    stream->update();
    return stream;
  }

  void watch(net::Readiness interest) override {
    interest_ = interest;
    update();
  }
  [[nodiscard]] Result<void> connect_result() override {
    if (failure_) return fail(*failure_);
    return {};
  }
  [[nodiscard]] Result<net::Transfer> read(std::span<char> into) override;
  [[nodiscard]] Result<net::Transfer> write(std::span<const char> bytes) override;

 private:
  friend class ClientContext;
  enum class State { connecting, shaking_hands, open, failed };
  using Session = ClientContext::State::Session;
  struct FreeStream {
    void operator()(SSL* stream) const { SSL_free(stream); }
  };

  ClientStream(net::Loop& loop, std::shared_ptr<const ClientContext> context, std::string peer,
               net::ByteStream::Listener& listener)
      : context_(std::move(context)),
        peer_(std::move(peer)),
        listener_(listener),
        again_(loop, [this] { on_stream_ready({.readable = true}); }) {}
  [[nodiscard]] bool prepare();
  // OpenSSL's, inside its functions.
  static int keep_session(SSL* ssl, SSL_SESSION* session);
  [[nodiscard]] bool expect_peer();

  void on_stream_ready(net::Readiness readiness) override;
  void connected();
  void shake_hands();
  void fail_connecting(Error error);
  void tell(net::Readiness readiness);
  void update();
  // Moves what OpenSSL wrote down. Errors: those of the stream below.
  Result<void> flush();
  // Moves what came from below to OpenSSL.
  Result<net::Transfer> fill();
  [[nodiscard]] bool has_input() const {
    return SSL_has_pending(ssl_.get()) != 0 || BIO_ctrl_pending(input_) > 0;
  }
  [[nodiscard]] std::string verdict() const;

  const std::shared_ptr<const ClientContext> context_;
  const std::string peer_;
  net::ByteStream::Listener& listener_;
  std::unique_ptr<SSL, FreeStream> ssl_;
  BIO* input_ = nullptr;   // the session's
  BIO* output_ = nullptr;  // likewise
  std::unique_ptr<net::ByteStream> below_;
  State state_ = State::connecting;
  net::Readiness interest_;
  std::optional<Error> failure_;
  // For bytes that are here already, of which the stream below will not tell again.
  net::Timer again_;
};

Result<std::shared_ptr<const ClientContext>> ClientContext::create(const ClientFiles& files) {
  ERR_clear_error();
  auto state = std::make_unique<State>();
  state->context.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = state->context.get();
  if (context == nullptr || SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) != 1) {
    return fail(Errc::system, "OpenSSL: " + openssl_reason());
  }
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_default_passwd_cb(context, no_pass_phrase);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, ClientStream::keep_session);
  // write() goes on where it was with other bytes than it was tried with.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  if (Result<void> loaded = load(context, files); !loaded) return fail(std::move(loaded.error()));
  return std::shared_ptr<const ClientContext>(new ClientContext(std::move(state)));
}

bool ClientStream::prepare() {
  ClientContext::State& shared = *context_->state_;
  ssl_.reset(SSL_new(shared.context.get()));
  if (!ssl_) return false;
  input_ = BIO_new(BIO_s_mem());
  output_ = BIO_new(BIO_s_mem());
  if (input_ == nullptr || output_ == nullptr) {
    BIO_free(input_);
    BIO_free(output_);
    return false;
  }
  BIO_set_mem_eof_return(input_, -1);  // empty is not the end
  SSL_set_bio(ssl_.get(), input_, output_);
  SSL_set_connect_state(ssl_.get());
  SSL_set_ex_data(ssl_.get(), kOwner, this);
  if (const Session session = shared.take(peer_)) {
    if (SSL_set_session(ssl_.get(), session.get()) != 1) return false;
  }
  return expect_peer();
}

int ClientStream::keep_session(SSL* ssl, SSL_SESSION* session) {
  const auto* stream = static_cast<const ClientStream*>(SSL_get_ex_data(ssl, kOwner));
  // Of its own copy: with a connection that ends without close_notify its session is given up.
  if (Session copy(SSL_SESSION_dup(session)); copy) {
    stream->context_->state_->keep(stream->peer_, std::move(copy));
  }
  return 0;
}

bool ClientStream::expect_peer() {
  X509_VERIFY_PARAM* const expected = SSL_get0_param(ssl_.get());
  X509_VERIFY_PARAM_set_hostflags(
      expected, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  // server_name is for names only (RFC 6066 section 3).
  if (net::IpAddress::parse(peer_)) {
    return X509_VERIFY_PARAM_set1_ip_asc(expected, peer_.c_str()) == 1;
  }
  // SSL_set_tlsext_host_name is a macro with a cast.
  std::string name = peer_;
  return X509_VERIFY_PARAM_set1_host(expected, peer_.c_str(), peer_.size()) == 1 &&
         SSL_ctrl(ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                  name.data()) == 1;
}

std::string ClientStream::verdict() const {
  const auto verdict = SSL_get_verify_result(ssl_.get());
  std::string reason = openssl_reason();
  if (verdict == X509_V_OK) return "TLS: " + reason;
  return fmt::format("TLS: {}: {}", reason, X509_verify_cert_error_string(verdict));
}

void ClientStream::on_stream_ready(net::Readiness readiness) {
  switch (state_) {
    case State::connecting: return connected();
    case State::shaking_hands: return shake_hands();
    case State::open: break;
    case State::failed: return;
  }
  // An error shows again when the listener reads or writes.
  static_cast<void>(flush());
  const bool drained = BIO_ctrl_pending(output_) == 0;
  tell({.readable = readiness.readable && interest_.readable,
        .writable = readiness.writable && interest_.writable && drained});
}

void ClientStream::connected() {
  if (Result<void> up = below_->connect_result(); !up) {
    return fail_connecting(std::move(up.error()));
  }
  state_ = State::shaking_hands;
  shake_hands();
}

void ClientStream::shake_hands() {
  for (;;) {
    ERR_clear_error();
    const int done = SSL_do_handshake(ssl_.get());
    const int why = done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), done);
    std::string reason = why == SSL_ERROR_SSL ? verdict() : "TLS: unexpected";
    const Result<void> sent = flush();  // an alert, too
    if (done == 1) {
      state_ = State::open;
      return tell({.writable = interest_.writable});
    }
    if (why != SSL_ERROR_WANT_READ) {
      return fail_connecting({Errc::not_permitted, 0, std::move(reason)});
    }
    // Why nothing more can be sent may have come before the end.
    const Result<net::Transfer> got = fill();
    if (!got) return fail_connecting(got.error());
    if (!sent && got->bytes == 0) return fail_connecting(sent.error());
    if (got->end) {
      return fail_connecting(
          {Errc::closed_by_peer, 0, "TLS: closed in the middle of the handshake"});
    }
    if (got->would_block) return update();
  }
}

void ClientStream::fail_connecting(Error error) {
  state_ = State::failed;
  failure_ = std::move(error);
  below_->watch({});
  tell({.writable = interest_.writable});
}

// The listener may take itself away, which destroys nothing yet.
void ClientStream::tell(net::Readiness readiness) {
  if (readiness.readable || readiness.writable) listener_.on_stream_ready(readiness);
  update();
}

void ClientStream::update() {
  const bool idle = !interest_.readable && !interest_.writable;
  switch (state_) {
    case State::connecting: return below_->watch({.writable = !idle});
    case State::shaking_hands:
      return below_->watch({.readable = !idle, .writable = !idle && BIO_ctrl_pending(output_) > 0});
    case State::failed: return;
    case State::open: break;
  }
  below_->watch({.readable = interest_.readable,
                 .writable = interest_.writable || BIO_ctrl_pending(output_) > 0});
  if (interest_.readable && has_input()) {
    again_.start(std::chrono::milliseconds(0));
  } else {
    again_.stop();
  }
}

Result<void> ClientStream::flush() {
  char* bytes = nullptr;
  while (BIO_get_mem_data(output_, &bytes) > 0) {
    const auto size = static_cast<std::size_t>(BIO_ctrl_pending(output_));
    const Result<net::Transfer> sent = below_->write(std::span(bytes, size));
    if (!sent) return fail(sent.error());
    if (sent->would_block) return {};
    std::array<char, kPiece> gone;
    for (std::size_t left = sent->bytes; left > 0;) {
      const int taken = BIO_read(output_, gone.data(), static_cast<int>(std::min(left, kPiece)));
      if (taken <= 0) break;
      left -= static_cast<std::size_t>(taken);
    }
  }
  return {};
}

Result<net::Transfer> ClientStream::fill() {
  std::array<char, kPiece> buffer;
  Result<net::Transfer> got = below_->read(buffer);
  if (got && got->bytes > 0) BIO_write(input_, buffer.data(), static_cast<int>(got->bytes));
  return got;
}

Result<net::Transfer> ClientStream::read(std::span<char> into) {
  for (;;) {
    ERR_clear_error();
    std::size_t count = 0;
    if (SSL_read_ex(ssl_.get(), into.data(), into.size(), &count) == 1) {
      return net::Transfer{.bytes = count};
    }
    switch (SSL_get_error(ssl_.get(), 0)) {
      case SSL_ERROR_WANT_READ: break;
      case SSL_ERROR_ZERO_RETURN: return net::Transfer{.end = true};
      default: return fail(Errc::bad_response, verdict());
    }
    // An answer to a message of the handshake, such as a new key. Why it can't be sent may have
    // come before the end.
    const Result<void> sent = flush();
    const Result<net::Transfer> got = fill();
    if (!got) return fail(got.error());
    if (!sent && got->bytes == 0) return fail(sent.error());
    if (got->would_block) return net::Transfer{.would_block = true};
    if (got->end) return fail(Errc::closed_by_peer, "TLS: ended without close_notify");
  }
}

Result<net::Transfer> ClientStream::write(std::span<const char> bytes) {
  if (Result<void> sent = flush(); !sent) return fail(std::move(sent.error()));
  if (BIO_ctrl_pending(output_) > 0) return net::Transfer{.would_block = true};
  ERR_clear_error();
  std::size_t count = 0;
  const std::size_t size = std::min(bytes.size(), kPiece);
  if (SSL_write_ex(ssl_.get(), bytes.data(), size, &count) != 1) {
    return fail(Errc::closed_by_peer, verdict());
  }
  if (Result<void> sent = flush(); !sent) return fail(std::move(sent.error()));
  return net::Transfer{.bytes = count};
}

Result<std::unique_ptr<net::ByteStream>> open_client_stream(
    net::Loop& loop, std::shared_ptr<const ClientContext> context, const std::string& peer,
    const OpenStream& open, net::ByteStream::Listener& listener) {
  return ClientStream::open(loop, std::move(context), peer, open, listener);
}

}  // namespace warder::tls
