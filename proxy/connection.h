#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "net/http/head.h"
#include "net/timer.h"
#include "net/unique_fd.h"
#include "net/watcher.h"
#include "proxy/connect_exchange.h"
#include "proxy/relay.h"
#include "proxy/services.h"
#include "proxy/sni_check.h"

namespace warder::proxy {

// One accepted connection: reads the head, runs the exchange, and ends as a tunnel or with a
// refusal that the client gets to read.
class Connection final : net::FdWatcher::Listener, ConnectExchange::Listener, SniCheck::Listener {
 public:
  class Owner {
   public:
    // The last thing a connection does. It must be destroyed through Loop::retire.
    virtual void on_closed(Connection& connection) = 0;

   protected:
    ~Owner() = default;
  };

  // `services` and `owner` outlive the connection. Call serve() or refuse_for_limit() next.
  Connection(Services& services, Owner& owner, std::uint64_t id, net::UniqueFd fd,
             net::Endpoint peer);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  [[nodiscard]] std::uint64_t id() const { return id_; }
  // It has no slot: it was only accepted to be told so.
  [[nodiscard]] bool refused_for_limit() const { return !slot_; }

  // Begins to read, and to find out who is calling. May call the owner before it returns.
  void serve(ConnectionLimits::Slot slot);
  // Refuses without reading: too many connections. May call the owner before it returns.
  void refuse_for_limit(std::string reason);
  // No new request from here on; what is open goes on. May call the owner before it returns.
  void drain();
  // Ends whatever is going on. The owner is called now or in a later turn.
  void end(const std::string& reason);

 private:
  enum class State {
    reading_head,
    exchanging,
    checking_sni,
    refusing,
    lingering,
    relaying,
    closed
  };

  void on_ready(net::FdWatcher& watcher, net::Readiness readiness) override;
  void on_opened(Dialled origin) override;
  void on_refused(Refusal refusal) override;
  void on_sni_passed(SniCheck::Rest rest) override;
  void on_sni_failed(SniFailure failure) override;

  bool open_watcher();
  void start_identity();
  void on_identity(identity::Identity identity);
  void read_head();
  void head_read(std::string rest);
  void head_failed(const Error& error);
  void refuse_request(int status, std::string code, std::string reason);
  void start_exchange();
  // Bytes of the client while it waits; kept for the origin, up to a limit.
  void read_early();
  // Writes that, ends our side, and waits for the client to end its own.
  void end_with(std::string response);
  void flush_refusal();
  void discard();
  void on_deadline();
  void check_sni();
  void start_tunnel(const std::string& to_origin, const std::string& to_client);
  // The caller of an open tunnel, looked at once more.
  void check_caller();
  void caller_checked(const std::optional<identity::Change>& change);
  void tunnel_ended(const RelayEnd& end);
  void relay_ended(const RelayEnd& end);
  void close();

  Services& services_;
  Owner& owner_;
  const std::uint64_t id_;
  const net::Endpoint peer_;
  net::UniqueFd fd_;
  State state_ = State::reading_head;
  std::optional<ConnectionLimits::Slot> slot_;
  std::unique_ptr<net::FdWatcher> watcher_;
  net::Timer deadline_;  // of the head, then of lingering; of an open tunnel, the next look
  std::string request_id_;

  identity::Connection caller_;
  std::uint64_t identity_began_ns_ = 0;
  std::int64_t identity_us_ = 0;
  std::unique_ptr<identity::Lookup> identity_lookup_;
  std::optional<identity::Identity> identity_;

  http::RequestHeadReader reader_;
  std::optional<http::RequestHead> head_;
  std::string early_;  // what the client sent after the head
  // Refused before there was an exchange; answered once it is known who is calling.
  std::optional<DecisionRecord> refused_request_;
  std::unique_ptr<ConnectExchange> exchange_;

  net::UniqueFd origin_;  // until the relay has it
  std::unique_ptr<SniCheck> sni_check_;
  SniCheck::Moved checked_;  // what the check let through

  std::string response_;  // the rest of a refusal
  std::unique_ptr<Relay> relay_;
  Subject tunnel_subject_;
  std::uint64_t opened_at_ms_ = 0;
};

}  // namespace warder::proxy
