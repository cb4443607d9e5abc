#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "client_fixture.h"
#include "opa-client/token_file.h"

namespace warder::testing {
namespace {

using opa::TokenFile;
using std::chrono::milliseconds;

class TokenFixture : public ClientFixture {
 public:
  TokenFixture() {
    std::string name = "/tmp/opa-token-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    directory_ = name;
    path = directory_ + "/token";
  }
  ~TokenFixture() { std::filesystem::remove_all(directory_); }

  // By a new file in its place, as Kubernetes and Vault do it.
  void write(const std::string& text) const {
    std::ofstream(path + ".new") << text;
    std::filesystem::rename(path + ".new", path);
  }

  std::string path;

 private:
  std::string directory_;
};

TEST_CASE_METHOD(TokenFixture, "token: looked at once a second", "[opa]") {
  TokenFile file(path);
  write("first\n");
  CHECK(file.token(0).value() == "first");
  write("second\r\n");
  CHECK(file.token(999).value() == "first");
  CHECK(file.token(1000).value() == "second");
  // Rewritten in place, with the same length.
  std::ofstream(path) << "sECOND";
  CHECK(file.token(2000).value() == "sECOND");
}

TEST_CASE_METHOD(TokenFixture, "token: what is none is never sent", "[opa]") {
  const auto refused = [&](const std::string& text) {
    write(text);
    TokenFile file(path);
    const auto token = file.token(0);
    REQUIRE_FALSE(token);
    CHECK(token.error().code == Errc::opa_token);
    CHECK(file.problem() == token.error().detail);
    CHECK(file.problem().find("secret") == std::string::npos);
  };
  refused("");
  refused("\n");
  refused("secret\r\nX-Evil: 1");
  refused("secret\nsecret\n");
  refused("secret\tx");
  refused("secret x");
  refused(std::string("secret\0", 7));
  refused("secret\x80");
  refused(std::string(8193, 'a'));
  write(std::string(8192, 'a'));
  CHECK(TokenFile(path).token(0).value().size() == 8192);
  std::filesystem::remove(path);
  std::filesystem::create_directory(path);
  CHECK_FALSE(TokenFile(path).token(0));
  CHECK_FALSE(TokenFile("/nowhere/token").token(0));
}

TEST_CASE_METHOD(TokenFixture, "token: one that went bad is used a little longer", "[opa]") {
  TokenFile file(path);
  write("good");
  CHECK(file.token(5000).value() == "good");
  write("");
  CHECK(file.token(6000).value() == "good");
  CHECK_FALSE(file.problem().empty());
  SECTION("until it is good again") {
    write("better");
    CHECK(file.token(7000).value() == "better");
    CHECK(file.problem().empty());
  }
  SECTION("and then not any more") {
    CHECK(file.token(14999).value() == "good");
    CHECK_FALSE(file.token(15000));
    CHECK_FALSE(file.token(15001));
    write("good");
    CHECK(file.token(16000).value() == "good");
  }
  SECTION("and then not any more: removed") {
    std::filesystem::remove(path);
    CHECK(file.token(7000).value() == "good");
    CHECK_FALSE(file.token(15000));
  }
}

TEST_CASE_METHOD(TokenFixture, "token: goes into every request, and its state is told", "[opa]") {
  std::vector<opa::ClientEvent> events;
  opa::ClientOptions options;
  options.token_file = path;
  options.on_event = [&](const opa::ClientEvent& event) { events.push_back(event); };
  start(Kind::tcp, options);
  CHECK(answer()->error() == Errc::opa_token);
  CHECK(server->accepted == 0);
  REQUIRE(events.size() == 1);
  CHECK(events[0].kind == opa::ClientEvent::Kind::token_bad);
  write("s3cret-token==\n");
  REQUIRE(run_until([&] { return answer()->allowed(); }));
  CHECK(events.size() == 2);
  CHECK(server->requests.back().find("\r\nAuthorization: Bearer s3cret-token==\r\n") !=
        std::string::npos);
  CHECK(read("/health")->result->has_value());
  CHECK(server->requests.back().find("\r\nAuthorization: Bearer s3cret-token==\r\n") !=
        std::string::npos);
}

TEST_CASE_METHOD(TokenFixture, "ids go into headers, unless they could end one", "[opa]") {
  start(Kind::tcp);
  opa::Query query;
  query.request_id = "4bf92f3577b34da6a3ce929d0e0e4736";
  query.request.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  CHECK(answer(query)->allowed());
  CHECK(server->requests.back().find("\r\nX-Request-Id: " + query.request_id + "\r\n") !=
        std::string::npos);
  CHECK(server->requests.back().find("\r\nTraceparent: " + query.request.traceparent + "\r\n") !=
        std::string::npos);
  query.request_id = "a\r\nX-Evil: 1";
  query.request.traceparent = "a\nb";
  CHECK(answer(query)->allowed());
  CHECK(server->requests.back().find("X-Evil: 1\r\n") == std::string::npos);
  CHECK(server->requests.back().find("Traceparent") == std::string::npos);
}

}  // namespace
}  // namespace warder::testing
