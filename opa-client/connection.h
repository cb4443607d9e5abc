#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/byte_stream.h"
#include "net/loop.h"
#include "net/result.h"
#include "opa-client/client.h"
#include "opa-client/response_reader.h"

namespace warder::opa {

// A whole response, its body not looked at yet.
struct Answer {
  int status = 0;
  std::string body;
};

// One connection to OPA. It carries one exchange at a time and is watched while it has none. It
// closes itself when anything but an orderly answer happens; its owner then retires it.
class Connection final : private net::ByteStream::Listener {
 public:
  // Each function is the last thing the connection does on that stack: it may close and retire it.
  class Listener {
   public:
    // Connected, with no request to send.
    virtual void on_connection_idle() = 0;
    // The exchange is over. The connection is idle() or closed.
    virtual void on_answer(Answer answer) = 0;
    // The connection is closed. `stale`: it had carried an exchange before, and ended before the
    // first byte of this answer, so that asking again on a fresh one is safe. Without an exchange
    // under way `error` only says why the connection went.
    virtual void on_connection_lost(Error error, bool stale) = 0;

   protected:
    ~Listener() = default;
  };

  // Starts looking up and connecting, to one address after the other. `loop`, `options` and
  // `listener` outlive the connection. Errors: opa_unreachable.
  [[nodiscard]] static Result<std::unique_ptr<Connection>> open(net::Loop& loop,
                                                                const ClientOptions& options,
                                                                Listener& listener);
  ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Sends when connected. There must be no exchange under way; `request` must live until the
  // exchange is over or the connection closed. Calls nobody.
  void send(std::string_view request);
  // Gives up the request if no byte of it has been sent and the connection is still coming up;
  // false otherwise.
  [[nodiscard]] bool withdraw();
  // Whether an idle connection has nothing to say: neither an end nor a stray byte.
  [[nodiscard]] bool quiet();
  // Synchronous: the listener hears nothing afterwards. To be retired, not destroyed.
  void close();

  [[nodiscard]] bool idle() const { return state_ == State::idle; }
  // Coming up, without a request.
  [[nodiscard]] bool vacant() const { return coming_up() && unsent_.empty(); }
  // What it is doing, for an explanation.
  [[nodiscard]] std::string_view doing() const;

 private:
  enum class State { resolving, connecting, idle, exchanging, closed };

  Connection(net::Loop& loop, const ClientOptions& options, Listener& listener);
  [[nodiscard]] bool coming_up() const {
    return state_ == State::resolving || state_ == State::connecting;
  }
  Result<void> start();
  // The next address that can be tried at all. Error: why the last one can't.
  Result<void> connect_next();
  [[nodiscard]] Result<std::unique_ptr<net::ByteStream>> open_stream();
  [[nodiscard]] Result<std::unique_ptr<net::ByteStream>> open_plain(
      net::ByteStream::Listener& listener) const;
  void on_resolved(Result<std::vector<net::IpAddress>> addresses);
  [[nodiscard]] Error unreachable(const Error& why) const;
  void on_stream_ready(net::Readiness readiness) override;
  void on_connected();
  void write_unsent();
  void read_answer();
  void on_end(const Error* read_error);
  void finish_exchange(bool reusable);
  void lose(Error error);
  void update_interest();

  net::Loop& loop_;
  const ClientOptions& options_;
  Listener& listener_;
  std::unique_ptr<net::NameLookup> lookup_;
  std::vector<net::Endpoint> untried_;  // the next one last
  net::Endpoint at_;
  std::unique_ptr<net::ByteStream> stream_;  // none while looking up
  State state_ = State::resolving;
  bool reused_ = false;        // it has carried an exchange
  bool write_failed_ = false;  // why will be known from reading
  std::string_view unsent_;
  ResponseReader reader_;
};

}  // namespace warder::opa
