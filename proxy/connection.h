#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "net/http/head.h"
#include "net/timer.h"
#include "net/unique_fd.h"
#include "net/watcher.h"
#include "proxy/client_port.h"
#include "proxy/connect_exchange.h"
#include "proxy/forward_exchange.h"
#include "proxy/relay.h"
#include "proxy/services.h"
#include "proxy/sni_check.h"
#include "proxy/tunnel_watch.h"

namespace warder::proxy {

// One accepted connection: reads a head, runs its exchange, and ends as a tunnel or with a refusal
// that the client gets to read; or goes on with the next request.
class Connection final : net::FdWatcher::Listener,
                         ConnectExchange::Listener,
                         ForwardExchange::Listener,
                         SniCheck::Listener,
                         TunnelWatch::Listener {
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
    forwarding,
    answering,  // what is to be written is all there
    lingering,
    relaying,
    closed
  };

  void on_ready(net::FdWatcher& watcher, net::Readiness readiness) override;
  void on_opened(Dialled origin) override;
  void on_refused(Refusal refusal) override;
  void on_sni_passed(SniCheck::Rest rest) override;
  void on_sni_failed(SniFailure failure) override;
  void on_forwarded(bool reusable) override;
  void on_cut() override;
  void on_switched(net::UniqueFd origin) override;
  void on_revoked(std::string code) override;

  bool open_watcher();
  void start_identity();
  void on_identity(identity::Identity identity);
  [[nodiscard]] Approval::Look look() const;
  void read_head();
  // Takes what the port holds; true when the head is whole or refused.
  bool feed_head();
  void head_read();
  void head_failed(const Error& error);
  void refuse_request(int status, std::string code, std::string reason);
  void start_connect();
  void start_forward();
  void next_request();
  // Bytes of the client while it waits; kept for the origin, up to a limit.
  void read_early();
  void flush_answer();
  void answer_written();
  void discard();
  void on_deadline();
  void check_sni();
  void begin_tunnel(const Subject& subject, const identity::Identity& caller,
                    const opa::Query::Request& request, const opa::Decision& decision);
  void start_relaying(const std::string& to_origin, const std::string& to_client);
  void tunnel_ended(const RelayEnd& end);
  void relay_ended(const RelayEnd& end);
  void close();

  Services& services_;
  Owner& owner_;
  const std::uint64_t id_;
  const net::Endpoint peer_;
  ClientPort port_;
  State state_ = State::reading_head;
  std::optional<ConnectionLimits::Slot> slot_;
  net::Timer deadline_;         // of the head, then of lingering
  std::uint64_t requests_ = 0;  // answered so far
  std::string request_id_;

  identity::Connection caller_;
  std::uint64_t identity_began_ns_ = 0;
  std::int64_t identity_us_ = 0;
  std::unique_ptr<identity::Lookup> identity_lookup_;
  std::optional<identity::Identity> identity_;

  std::optional<http::RequestHeadReader> reader_;  // always set
  std::optional<http::RequestHead> head_;
  // Refused before there was an exchange; answered once it is known who is calling.
  std::optional<DecisionRecord> refused_request_;
  std::unique_ptr<ConnectExchange> exchange_;
  std::unique_ptr<ForwardExchange> forward_;
  bool reusable_ = false;  // once the answer is written, another request may come
  bool draining_ = false;

  net::UniqueFd origin_;  // until the relay has it
  std::unique_ptr<SniCheck> sni_check_;
  SniCheck::Moved checked_;  // what the check let through
  std::unique_ptr<Relay> relay_;
  Subject tunnel_subject_;
  OpenTunnel tunnel_;  // until the watch has it
  std::unique_ptr<TunnelWatch> watch_;
  std::uint64_t opened_at_ms_ = 0;
};

}  // namespace warder::proxy
