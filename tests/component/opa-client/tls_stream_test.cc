#include <openssl/ssl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch_test_macros.hpp>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "net/tls/client_stream.h"
#include "tests/support/loop_fixture.h"
#include "tls_opa.h"

namespace warder::testing {
namespace {

// A stream below TLS that sends nothing any more once it is `severed`, as after a reset.
class SeverableStream final : public net::ByteStream {
 public:
  SeverableStream(std::unique_ptr<net::ByteStream> real, const bool& severed)
      : real_(std::move(real)), severed_(severed) {}
  void watch(net::Readiness interest) override { real_->watch(interest); }
  Result<void> connect_result() override { return real_->connect_result(); }
  Result<net::Transfer> read(std::span<char> into) override { return real_->read(into); }
  Result<net::Transfer> write(std::span<const char> bytes) override {
    if (severed_) return fail(from_errno(EPIPE, "write"));
    return real_->write(bytes);
  }

 private:
  std::unique_ptr<net::ByteStream> real_;
  const bool& severed_;
};

class TlsStreamFixture : public LoopFixture, protected net::ByteStream::Listener {
 public:
  TlsStreamFixture() {
    std::string name = "/tmp/tls-stream-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory = name;
    opa.credentials = make_credentials(directory, "opa", "IP:127.0.0.1");
    files.ca_file = opa.credentials.cert_file;
  }
  virtual ~TlsStreamFixture() {
    if (stream) {
      stream->watch({});
      loop().retire(std::move(stream));
    }
    std::filesystem::remove_all(directory);
  }

  void on_stream_ready(net::Readiness readiness) override {
    if (!connected) {
      connected = stream->connect_result();
      return stream->watch({});
    }
    if (!readiness.readable) return;
    std::array<char, 100> buffer{};
    const Result<net::Transfer> got = stream->read(buffer);
    if (got && got->would_block) return;
    read = got;
    stream->watch({});
  }
  // Until the handshake is over.
  void connect() {
    auto opened = tls::open_client_stream(
        loop(), context, "127.0.0.1",
        [this](net::ByteStream::Listener& listener) -> Result<std::unique_ptr<net::ByteStream>> {
          auto below = net::open_tcp_stream(loop(), server->at(), listener);
          if (!below) return fail(below.error());
          return std::make_unique<SeverableStream>(std::move(*below), severed);
        },
        *this);
    REQUIRE(opened);
    stream = std::move(*opened);
    stream->watch({.writable = true});
    REQUIRE(run_until([this] { return connected.has_value(); }));
  }

  std::string directory;
  TlsOpaOptions opa;
  tls::ClientFiles files;
  std::optional<TlsOpa> server;
  std::shared_ptr<const tls::ClientContext> context;
  std::unique_ptr<net::ByteStream> stream;
  bool severed = false;
  std::optional<Result<void>> connected;
  std::optional<Result<net::Transfer>> read;
};

TEST_CASE_METHOD(TlsStreamFixture,
                 "tls: why the peer ended it is told, also where sending failed first", "[tls]") {
  opa.client_ca_file = opa.credentials.cert_file;
  opa.newest = TLS1_3_VERSION;
  server.emplace(opa);
  context = tls::ClientContext::create(files).value();
  connect();
  REQUIRE(*connected);
  severed = true;
  CHECK_FALSE(stream->write(std::string("GET")));
  stream->watch({.readable = true});
  REQUIRE(run_until([this] { return read.has_value(); }));
  REQUIRE_FALSE(*read);
  CHECK(read->error().detail == "TLS: tlsv13 alert certificate required");
}

}  // namespace
}  // namespace warder::testing
