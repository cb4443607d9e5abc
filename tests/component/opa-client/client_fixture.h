#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "opa-client/client.h"
#include "scripted_opa.h"
#include "tests/support/loop_fixture.h"

namespace warder::testing {

using Kind = opa::Address::Kind;

constexpr std::string_view kAllow = R"({"result":{"allow":true}})";

// A question, or the reading of a document, and what became of it.
template <class Value>
struct Pending {
  std::unique_ptr<opa::Call> call;
  std::optional<Result<Value>> result;
  int answers = 0;

  [[nodiscard]] bool done() const { return result.has_value(); }
  // The code of the error, nullopt where there is none.
  [[nodiscard]] std::optional<Errc> error() const {
    return result && !*result ? std::optional(result->error().code) : std::nullopt;
  }
  [[nodiscard]] std::string detail() const { return error() ? result->error().detail : ""; }
};

struct Asked : Pending<opa::Decision> {
  [[nodiscard]] bool allowed() const { return result && *result && (*result)->allow; }
};

// A client, a scripted OPA and the loop of both.
class ClientFixture : public LoopFixture {
 public:
  ClientFixture();
  ~ClientFixture();

  // A server on TCP or a unix socket, which answers every question with `kAllow`, and a client.
  void start(Kind kind, opa::ClientOptions options = {});
  // The server and its connections go, as when OPA is killed.
  void stop_server() { server.reset(); }
  void start_server();

  [[nodiscard]] std::unique_ptr<Asked> ask(const opa::Query& query = {},
                                           std::string_view caller = {});
  // Asks and waits for the result.
  [[nodiscard]] std::unique_ptr<Asked> answer(const opa::Query& query = {});
  // Reads a document and waits for it.
  [[nodiscard]] std::unique_ptr<Pending<opa::Document>> read(const std::string& path);

  std::unique_ptr<ScriptedOpa> server;
  std::unique_ptr<opa::Client> client;

 private:
  std::string directory_;
  opa::Address address_;
};

}  // namespace warder::testing
