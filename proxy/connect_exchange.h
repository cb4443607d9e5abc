#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/resolver.h"
#include "net/http/head.h"
#include "net/lookup.h"
#include "opa-client/client.h"
#include "proxy/dialer.h"
#include "proxy/exchange_record.h"
#include "proxy/record.h"
#include "proxy/refusal.h"
#include "proxy/services.h"

namespace warder::proxy {

// One CONNECT, from the head to a connection with the origin: identity, decision, identity once
// more, name, guard, dial. It answers nobody itself: its listener does. Everything but an allow
// that holds to the end is a refusal.
class ConnectExchange {
 public:
  // Exactly one of the two, once, on a stack of its own and as the last thing the exchange does;
  // the exchange may be destroyed only through Loop::retire of its owner. The decision's record is
  // written before.
  class Listener {
   public:
    virtual void on_opened(Dialled origin) = 0;
    virtual void on_refused(Refusal refusal) = 0;

   protected:
    ~Listener() = default;
  };

  // `services` and `listener` outlive the exchange. `head.authority` is set, with a port.
  ConnectExchange(Services& services, Listener& listener, identity::Connection connection,
                  const http::RequestHead& head, Subject subject);
  ConnectExchange(const ConnectExchange&) = delete;
  ConnectExchange& operator=(const ConnectExchange&) = delete;
  // Cancels whatever is under way.
  ~ConnectExchange() = default;

  // Who is calling; once. May call the listener before it returns.
  void begin(identity::Identity identity, std::int64_t identity_us);
  // Nobody waits for the outcome any more, because the client or the proxy went away: writes the
  // record and cancels; the listener is not called.
  void abandon(std::string code, std::string reason);
  // Who it was opened for.
  [[nodiscard]] const identity::Identity& identity() const { return identity_; }
  // Ids and facts as known by now, for the tunnel's record.
  [[nodiscard]] const Subject& subject() const { return record_.subject; }

 private:
  enum class State {
    identifying,
    over_limit,
    deciding,
    confirming,
    looking_anew,
    resolving,
    dialling,
    done
  };
  enum class Next { wait, again, opened, refused };

  void identified(identity::Identity identity);
  // The only function that changes state_.
  void advance();
  Next step();
  Next do_deciding();
  Next do_confirming();
  Next do_looking_anew();
  Next do_resolving();
  Next do_dialling();
  void ask();
  void look_again();
  Next look_up();
  Next start_dial(const std::vector<net::IpAddress>& addresses);
  // Fill in the outcome; the record is written by advance().
  Next refuse(Verdict verdict, std::string code, std::string reason, int status);
  Next refuse(const Error& error);
  Next refuse_changed(const std::string& what);

  Services& services_;
  Listener& listener_;
  const identity::Connection connection_;
  const http::Authority authority_;
  State state_ = State::identifying;

  identity::Identity identity_;
  DecisionRecord record_;
  std::optional<ConnectionLimits::Slot> identity_slot_;
  std::vector<net::IpRange> allowed_ips_;
  std::optional<int> retry_after_s_;
  std::uint64_t asked_at_ns_ = 0;

  // The work of the state that waits, and its result once it is there.
  std::unique_ptr<opa::Call> call_;
  std::optional<Result<opa::Decision>> answer_;
  std::unique_ptr<identity::Lookup> second_look_;
  std::optional<std::optional<identity::Change>> change_;
  std::optional<identity::Identity> now_;
  int changes_ = 0;   // of the caller, since the first look
  int arrivals_ = 0;  // of programs behind it
  std::unique_ptr<net::NameLookup> lookup_;
  std::optional<Result<std::vector<net::IpAddress>>> addresses_;
  std::unique_ptr<Dial> dial_;
  std::optional<Result<Dialled>> dialled_;
};

}  // namespace warder::proxy
