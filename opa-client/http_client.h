#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "net/loop.h"
#include "net/timer.h"
#include "opa-client/client.h"
#include "opa-client/connection.h"

namespace warder::opa {

class HttpCall;
class Slot;

// The client behind make_client. A call waits in `waiting_` until a slot takes it; a slot is one
// connection and the call it carries. Callbacks run on the stack of a stream event or of a posted
// task, as the last thing done there, so they may destroy the call and the client.
class HttpClient final : public Client {
 public:
  HttpClient(net::Loop& loop, ClientOptions options);
  ~HttpClient() override;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  [[nodiscard]] std::unique_ptr<Call> ask(const Query& query, Callback callback) override;
  [[nodiscard]] std::unique_ptr<Call> read(std::string_view path,
                                           DocumentCallback callback) override;

 private:
  friend class HttpCall;
  friend class Slot;

  // From calls.
  void on_deadline(HttpCall& call);
  void abandon(HttpCall& call);

  // From slots.
  void on_vacancy();
  void on_answer(Slot& slot, Answer answer);
  void on_lost(Slot& slot, Error error, bool stale);
  void on_idle_timeout(Slot& slot);

  [[nodiscard]] std::unique_ptr<Call> start(std::unique_ptr<HttpCall> call);
  void serve_waiting();
  [[nodiscard]] Slot* take_free_slot();
  void open_slot_for(HttpCall& call);
  void detach(HttpCall& call);
  void remove(Slot& slot);
  void fail_later(HttpCall& call, Error error);

  net::Loop& loop_;
  ClientOptions options_;
  std::list<HttpCall*> waiting_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace warder::opa
