#include <openssl/ssl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "client_fixture.h"
#include "net/tls/renewable_context.h"
#include "tests/support/dns_server.h"
#include "tls_opa.h"

namespace warder::testing {
namespace {

using std::chrono::milliseconds;

class TlsFixture : public ClientFixture {
 public:
  TlsFixture() {
    std::string name = "/tmp/opa-tls-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory = name;
    mine = make_credentials(directory, "mine", "DNS:client");
    opa.credentials = make_credentials(directory, "opa", "DNS:opa.test,IP:127.0.0.1");
    opa.answer = response(kAllow);
    files.ca_file = opa.credentials.cert_file;
  }
  ~TlsFixture() {
    client.reset();
    std::filesystem::remove_all(directory);
  }

  // Asks an OPA of `opa` as `host`, with `files`.
  std::unique_ptr<Asked> answer_as(const std::string& host) {
    if (!tls_opa) tls_opa.emplace(opa);
    opa::ClientOptions options{.timeout = milliseconds(5000)};
    options.address =
        opa::parse_url("https://" + host + ":" + std::to_string(tls_opa->at().port)).value();
    options.names = names.get();
    if (!context) context = tls::RenewableContext::create(files).value();
    options.tls = context;
    client = opa::make_client(loop(), options);
    return answer();
  }
  std::unique_ptr<Asked> answer_as_opa() {
    dns.names["opa.test"] = {net::IpAddress::v4({127, 0, 0, 1})};
    return answer_as("opa.test");
  }

  std::string directory;
  Credentials mine;
  TlsOpaOptions opa;
  tls::ClientFiles files;
  std::shared_ptr<tls::RenewableContext> context;
  std::optional<TlsOpa> tls_opa;
  DnsServer dns{loop()};
  std::unique_ptr<net::NameResolver> names =
      net::make_name_resolver(loop(), {.server = dns.address()}).value();
};

TEST_CASE_METHOD(TlsFixture, "https: a name and an address that the certificate has", "[opa]") {
  const int newest = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
  const std::size_t piece = GENERATE(1U, 7U, 1U << 20U);
  opa.newest = newest;
  opa.piece = piece;
  CHECK(answer_as("127.0.0.1")->allowed());
  CHECK(answer()->allowed());  // on the same connection
  client.reset();
  CHECK(answer_as_opa()->allowed());
}

TEST_CASE_METHOD(TlsFixture, "https: an answer of many records", "[opa]") {
  const std::string big(200000, 'x');
  opa.answer = response(R"({"result":{"allow":true,"unknown":")" + big + "\"}}");
  for (int i = 0; i < 3; ++i) CHECK(answer_as("127.0.0.1")->allowed());
}

TEST_CASE_METHOD(TlsFixture, "https: a certificate that is not OPA's", "[opa]") {
  SECTION("for another name: the common name counts for nothing") {
    dns.names["only.common"] = {net::IpAddress::v4({127, 0, 0, 1})};
    const auto asked = answer_as("only.common");
    CHECK(asked->error() == Errc::opa_unreachable);
    CHECK(asked->detail().find("hostname mismatch") != std::string::npos);
  }
  SECTION("for another address") {
    opa.credentials = make_credentials(directory, "other", "IP:127.0.0.2,DNS:127.0.0.1");
    files.ca_file = opa.credentials.cert_file;
    const auto asked = answer_as("127.0.0.1");
    CHECK(asked->error() == Errc::opa_unreachable);
    CHECK(asked->detail().find("IP address mismatch") != std::string::npos);
  }
  SECTION("by an authority that is not trusted") {
    files.ca_file = GENERATE(true, false) ? mine.cert_file : "";
    const auto asked = answer_as("127.0.0.1");
    CHECK(asked->error() == Errc::opa_unreachable);
    CHECK(asked->detail().find("certificate verify failed") != std::string::npos);
  }
}

TEST_CASE_METHOD(TlsFixture, "https: TLS 1.1 is refused", "[opa]") {
  opa.newest = TLS1_1_VERSION;
  const auto asked = answer_as("127.0.0.1");
  CHECK(asked->error() == Errc::opa_unreachable);
  CHECK(asked->detail().find("TLS: ") != std::string::npos);
}

TEST_CASE_METHOD(TlsFixture, "https: OPA asks for a certificate", "[opa]") {
  opa.client_ca_file = mine.cert_file;
  opa.newest = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
  SECTION("and is shown one") {
    files.cert_file = mine.cert_file;
    files.key_file = mine.key_file;
    CHECK(answer_as("127.0.0.1")->allowed());
  }
  SECTION("and there is none") {
    const auto asked = answer_as("127.0.0.1");
    REQUIRE(asked->error());
    // In TLS 1.3 the client has connected by the time it is told.
    CHECK((*asked->error() == Errc::opa_unreachable || *asked->error() == Errc::opa_truncated));
  }
}

TEST_CASE_METHOD(TlsFixture, "https: an end without close_notify completes nothing", "[opa]") {
  opa.answer = "HTTP/1.1 200 OK\r\n\r\n" + std::string(kAllow);
  opa.cut = true;
  CHECK(answer_as("127.0.0.1")->error() == Errc::opa_truncated);
}

TEST_CASE_METHOD(TlsFixture, "https: an OPA that speaks no TLS", "[opa]") {
  start(Kind::tcp);
  server->on_accept = [](Peer& peer) { peer.send(response(kAllow)); };
  opa::ClientOptions options;
  options.address = opa::parse_url("https://" + server->address().endpoint.text()).value();
  options.tls = tls::RenewableContext::create(files).value();
  client = opa::make_client(loop(), options);
  CHECK(answer()->error() == Errc::opa_unreachable);
}

TEST_CASE_METHOD(TlsFixture, "https: files that can't be used are named", "[opa]") {
  const std::string garbage = directory + "/garbage";
  std::ofstream(garbage) << "this is no certificate\n";
  const auto other = make_credentials(directory, "other", "DNS:other");
  const auto refused = [](const tls::ClientFiles& of, const std::string& part) {
    const auto made = tls::ClientContext::create(of);
    REQUIRE_FALSE(made);
    INFO(made.error().detail);
    CHECK(made.error().code == Errc::bad_config);
    CHECK(made.error().detail.find(part) != std::string::npos);
  };
  refused({garbage, "", ""}, garbage);
  refused({"/nowhere", "", ""}, "/nowhere");
  refused({"", garbage, ""}, garbage);
  refused({"", mine.cert_file, "/nowhere"}, "/nowhere");
  refused({"", mine.cert_file, ""}, mine.cert_file);
  refused({"", mine.cert_file, other.key_file}, "key values mismatch");
  refused({"", "", mine.key_file}, "without a certificate");
}

TEST_CASE_METHOD(TlsFixture, "https: a session is taken up again", "[opa]") {
  opa.newest = GENERATE(TLS1_2_VERSION, TLS1_3_VERSION);
  opa.client_ca_file = mine.cert_file;
  files.cert_file = mine.cert_file;
  files.key_file = mine.key_file;
  REQUIRE(answer_as("127.0.0.1")->allowed());
  CHECK(tls_opa->resumed() == 0);
  client.reset();
  SECTION("by the next connection, and so on") {
    // Before TLS 1.3 one that was taken up again has no other one after it.
    for (int i = 1; i <= (opa.newest == TLS1_3_VERSION ? 3 : 1); ++i) {
      CHECK(answer_as("127.0.0.1")->allowed());
      CHECK(tls_opa->resumed() == i);
      client.reset();
    }
  }
  SECTION("not for another name") {
    CHECK(answer_as_opa()->allowed());
    CHECK(tls_opa->resumed() == 0);
  }
  SECTION("not with other files") {
    mine = make_credentials(directory, "mine", "DNS:client");
    REQUIRE(context->look().value());
    static_cast<void>(answer_as("127.0.0.1"));
    CHECK(tls_opa->resumed() == 0);
  }
}

// By a new file in its place.
void replace(const std::string& file, const std::string& by) {
  std::filesystem::copy_file(by, file + ".new");
  std::filesystem::rename(file + ".new", file);
}

TEST_CASE_METHOD(TlsFixture, "https: changed files are used, bad ones are not", "[opa]") {
  const auto other = make_credentials(directory, "other", "DNS:client");
  const std::string garbage = directory + "/garbage";
  std::ofstream(garbage) << "this is no certificate\n";
  opa.client_ca_file = other.cert_file;
  opa.newest = TLS1_2_VERSION;  // so that the client is told in the handshake
  files.cert_file = mine.cert_file;
  files.key_file = mine.key_file;
  CHECK(answer_as("127.0.0.1")->error() == Errc::opa_unreachable);
  CHECK_FALSE(context->look());
  const auto bad = [&](const std::string& part) {
    const auto news = context->look();
    REQUIRE(news);
    REQUIRE_FALSE(*news);
    INFO(news->error().detail);
    CHECK(news->error().detail.find(part) != std::string::npos);
    CHECK_FALSE(context->look());  // told once
  };
  const auto in_use = context->current();
  SECTION("a renewed certificate and key") {
    replace(mine.cert_file, other.cert_file);
    bad("key values mismatch");
    CHECK(context->current() == in_use);
    replace(mine.key_file, other.key_file);
    REQUIRE(context->look().value());
    CHECK_FALSE(context->look());
    CHECK(answer_as("127.0.0.1")->allowed());
  }
  SECTION("written in place") {
    std::filesystem::copy_file(other.cert_file, mine.cert_file,
                               std::filesystem::copy_options::overwrite_existing);
    std::filesystem::copy_file(other.key_file, mine.key_file,
                               std::filesystem::copy_options::overwrite_existing);
    REQUIRE(context->look().value());
    CHECK(answer_as("127.0.0.1")->allowed());
  }
  SECTION("other authorities") {
    replace(files.ca_file, other.cert_file);
    REQUIRE(context->look().value());
    CHECK(answer_as("127.0.0.1")->detail().find("certificate verify failed") != std::string::npos);
  }
  SECTION("no good in one way, and then in another") {
    replace(files.ca_file, garbage);
    bad(files.ca_file);
    std::filesystem::remove(mine.key_file);
    std::filesystem::remove(files.ca_file);
    bad("No such file");
    REQUIRE(::mkfifo(files.ca_file.c_str(), 0600) == 0);
    bad("is not a regular file");
    CHECK(context->current() == in_use);
  }
}

TEST_CASE_METHOD(TlsFixture, "names: each address is tried, and a name without any is told",
                 "[opa]") {
  start(Kind::tcp);
  opa::ClientOptions options{.timeout = milliseconds(5000)};
  options.names = names.get();
  const std::string port = std::to_string(server->address().endpoint.port);
  options.address = opa::parse_url("http://absent.test:" + port).value();
  client = opa::make_client(loop(), options);
  CHECK(answer()->detail().starts_with("looking up absent.test: "));
  options.address = opa::parse_url("http://opa.test:" + port).value();
  client = opa::make_client(loop(), options);
  // Nobody listens at the first.
  dns.names["opa.test"] = {net::IpAddress::v4({127, 0, 0, 9}), net::IpAddress::v4({127, 0, 0, 1})};
  REQUIRE(answer()->allowed());
  CHECK(server->requests.back().find("Host: opa.test:" + port) != std::string::npos);
  dns.names["opa.test"] = {net::IpAddress::v4({127, 0, 0, 9})};
  CHECK(answer()->allowed());  // the connection is there
  // A cancelled lookup leaves nothing.
  client.reset();
  dns.silent.insert("silent.test");
  options.address = opa::parse_url("http://silent.test:" + port).value();
  client = opa::make_client(loop(), options);
  const auto asked = ask();
  run_turns(5);
  client.reset();
  REQUIRE(run_until([&] { return asked->done(); }));
  CHECK(asked->error() == Errc::cancelled);
}

}  // namespace
}  // namespace warder::testing
