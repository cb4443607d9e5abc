#include "client_fixture.h"

#include <unistd.h>

#include <catch2/catch_test_macros.hpp>
#include <utility>

namespace warder::testing {

ClientFixture::ClientFixture() {
  std::string name = "/tmp/opa-client-XXXXXX";
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  directory_ = name;
}

ClientFixture::~ClientFixture() {
  client.reset();
  server.reset();
  ::rmdir(directory_.c_str());
}

void ClientFixture::start(Kind kind, opa::ClientOptions options) {
  address_.kind = kind;
  address_.endpoint = {net::IpAddress::v4({127, 0, 0, 1}), 0};
  address_.socket_path = directory_ + "/opa.sock";
  address_.host_header = "localhost";
  start_server();
  options.address = address_;
  client = opa::make_client(loop(), std::move(options));
}

void ClientFixture::start_server() {
  server = std::make_unique<ScriptedOpa>(loop(), address_);
  server->on_request = [](Peer& peer) { peer.send(response(kAllow)); };
  address_ = server->address();
}

std::unique_ptr<Asked> ClientFixture::ask(const opa::Query& query, std::string_view caller) {
  auto asked = std::make_unique<Asked>();
  Asked* const into = asked.get();
  asked->call = client->ask(query, caller, [into](Result<opa::Decision> result) {
    into->result = std::move(result);
    ++into->answers;
  });
  CHECK(asked->answers == 0);  // never before ask() has returned
  return asked;
}

std::unique_ptr<Asked> ClientFixture::answer(const opa::Query& query) {
  auto asked = ask(query);
  REQUIRE(run_until([&] { return asked->done(); }));
  return asked;
}

std::unique_ptr<Pending<opa::Document>> ClientFixture::read(const std::string& path) {
  auto pending = std::make_unique<Pending<opa::Document>>();
  pending->call = client->read(path, [into = pending.get()](Result<opa::Document> result) {
    into->result = std::move(result);
    ++into->answers;
  });
  CHECK(pending->answers == 0);
  REQUIRE(run_until([&] { return pending->done(); }));
  return pending;
}

}  // namespace warder::testing
