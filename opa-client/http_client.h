#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/loop.h"
#include "net/timer.h"
#include "opa-client/breaker.h"
#include "opa-client/client.h"
#include "opa-client/connection.h"
#include "opa-client/request.h"
#include "opa-client/token_file.h"
#include "opa-client/turns.h"

namespace warder::opa {

class HttpCall;
class Slot;

// The client behind make_client. A call waits for its turn until a slot takes it; a slot is one
// connection and the call it carries. Callbacks run on the stack of a stream event or of a posted
// task, as the last thing done there, so they may destroy the call and the client.
class HttpClient final : public Client {
 public:
  HttpClient(net::Loop& loop, ClientOptions options);
  ~HttpClient() override;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  using Client::ask;
  [[nodiscard]] std::unique_ptr<Call> ask(const Query& query, std::string_view caller,
                                          Callback callback) override;
  [[nodiscard]] std::unique_ptr<Call> read(std::string_view path,
                                           DocumentCallback callback) override;

 private:
  friend class HttpCall;
  friend class Slot;

  using Received = std::variant<Callback, DocumentCallback, std::function<void()>>;

  // From calls.
  void on_deadline(HttpCall& call);
  void abandon(HttpCall& call);

  // From slots.
  void on_vacancy();
  void on_answer(Slot& slot, Answer answer);
  void on_lost(Slot& slot, Error error, bool stale);
  void on_idle_timeout(Slot& slot);

  // A call that is served, or fails later. `make` makes its request, given the token.
  template <class Make>
  [[nodiscard]] std::unique_ptr<Call> begin(Received received, std::string_view caller,
                                            const Make& make);
  void enqueue(HttpCall& call, std::string_view caller);
  // The token for the next request, empty where none is needed; tells when it goes bad or good.
  [[nodiscard]] Result<std::string_view> token();
  void tell(ClientEvent::Kind kind, std::string detail);
  // Whether OPA gives answers, as far as a call that is over shows.
  void note_answer();
  void note_failure(const Error& error);
  // Tells of policies that can't be evaluated, now and then.
  void note_refusal(const Answer& answer);
  // Asks it by itself while the breaker is open.
  void probe();
  void serve_waiting();
  [[nodiscard]] Slot* take_free_slot();
  void open_slot_for(HttpCall& call);
  void detach(HttpCall& call);
  void remove(Slot& slot);
  void fail_later(HttpCall& call, Error error);

  net::Loop& loop_;
  ClientOptions options_;
  const RequestMaker requests_;
  Turns<HttpCall> turns_;
  std::optional<TokenFile> token_file_;
  bool token_bad_ = false;
  std::optional<std::uint64_t> policy_error_at_ms_;  // told last
  Breaker breaker_;
  net::Timer probe_timer_;
  std::unique_ptr<Call> probe_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace warder::opa
