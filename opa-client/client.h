#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "net/address.h"
#include "net/lookup.h"
#include "net/loop.h"
#include "net/result.h"
#include "net/tls/renewable_context.h"
#include "opa-client/decision.h"
#include "opa-client/query.h"

namespace warder::opa {

// A question that is under way. Destroying it cancels: the callback never runs afterwards.
class Call {
 public:
  virtual ~Call() = default;
};

// Asks the policy server. One belongs to one loop.
class Client {
 public:
  using Callback = std::function<void(Result<Decision>)>;
  using DocumentCallback = std::function<void(Result<Document>)>;

  virtual ~Client() = default;
  // `query` and `caller` are not kept. Callers take turns, and none has more than a quarter of the
  // connections, and three quarters of the queue; without a name, all of them. The callback runs
  // once, never before ask() has returned, and may destroy the call. Errors: the opa_… values of
  // Errc, and cancelled when the client goes first.
  [[nodiscard]] virtual std::unique_ptr<Call> ask(const Query& query, std::string_view caller,
                                                  Callback callback) = 0;
  [[nodiscard]] std::unique_ptr<Call> ask(const Query& query, Callback callback) {
    return ask(query, {}, std::move(callback));
  }
  // Reads a document by GET: `path` is one of OPA's data API ("/v1/data/egress/binaries") or
  // "/health", fit to be sent as it is. Otherwise like ask().
  [[nodiscard]] virtual std::unique_ptr<Call> read(std::string_view path,
                                                   DocumentCallback callback) = 0;
};

// Where OPA listens: "http://host:port", "https://host:port" or "unix:///path". The host is an
// address, a name that has to be looked up, or "localhost", which is 127.0.0.1.
struct Address {
  enum class Kind { tcp, unix_socket };
  Kind kind = Kind::tcp;
  net::Endpoint endpoint;   // tcp; with a name, only its port
  std::string name;         // tcp: to be looked up; else empty
  std::string socket_path;  // unix
  std::string host_header;  // what goes into Host: never a socket path (Go refuses it)
  bool tls = false;
  std::string tls_peer;  // whom the certificate must name: the host, without brackets
};
// Errors: bad_config.
[[nodiscard]] Result<Address> parse_url(const std::string& url);

// What happens to the client itself, for the log.
struct ClientEvent {
  enum class Kind { breaker_opened, breaker_closed, token_bad, token_good, policy_error };
  Kind kind;
  std::string detail;
};

struct ClientOptions {
  Address address{};
  // For an address that needs one; outlives the client.
  net::NameResolver* names = nullptr;
  std::shared_ptr<tls::RenewableContext> tls{};  // likewise; somebody else has it look
  std::string token_file{};                      // empty: no Authorization
  std::string path = "/v1/data/egress/decision";
  std::chrono::milliseconds timeout{500};  // of the whole call, queueing included
  std::size_t max_connections = 16;
  std::size_t max_waiting = 1024;          // calls without a connection; above: opa_queue_full
  std::size_t max_answer_bytes = 1 << 20;  // body; a head may have 16 KiB
  std::chrono::milliseconds idle_timeout{30000};
  // After so many calls in a row that failed without an answer, all fail at once (opa_breaker_open)
  // until OPA answers GET /health, which is tried with this pause; 0: never.
  std::size_t breaker_failures = 0;
  std::chrono::milliseconds breaker_pause{250};
  // Runs inside the client's functions, and must not call it.
  std::function<void(const ClientEvent&)> on_event{};
};

// HTTP/1.1 with keep-alive. One retry, and only when a reused connection ended before the first
// byte of an answer.
[[nodiscard]] std::unique_ptr<Client> make_client(net::Loop& loop, ClientOptions options);

}  // namespace warder::opa
