#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/http/head.h"
#include "net/lookup.h"
#include "proxy/approval.h"
#include "proxy/dialer.h"
#include "proxy/record.h"
#include "proxy/refusal.h"
#include "proxy/services.h"

namespace warder::proxy {

// One CONNECT, from the head to a connection with the origin: approval, name, guard, dial. It
// answers nobody itself: its listener does.
class ConnectExchange final : Approval::Listener {
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
  // Who it was opened for, and what the policy said.
  [[nodiscard]] const identity::Identity& identity() const { return approval_.identity(); }
  [[nodiscard]] const opa::Decision& decision() const { return approval_.decision(); }
  [[nodiscard]] const opa::Query& query() const { return approval_.query(); }
  // Ids and facts as known by now, for the tunnel's record.
  [[nodiscard]] const Subject& subject() const { return record_.subject; }

 private:
  enum class State { approving, resolving, dialling, done };
  enum class Next { wait, again, opened, refused };

  void on_approved() override;
  void on_not_approved(Failure failure) override;

  // The only function that changes state_, but for what the approval says.
  void advance();
  Next step();
  Next do_resolving();
  Next do_dialling();
  Next look_up();
  Next start_dial(const std::vector<net::IpAddress>& addresses);
  Next fail(Failure failure);

  Services& services_;
  Listener& listener_;
  const http::Authority authority_;
  State state_ = State::approving;
  DecisionRecord record_;
  Approval approval_;
  std::optional<Failure> failure_;
  bool approved_ = false;

  // The work of the state that waits, and its result once it is there.
  std::unique_ptr<net::NameLookup> lookup_;
  std::optional<Result<std::vector<net::IpAddress>>> addresses_;
  std::unique_ptr<Dial> dial_;
  std::optional<Result<Dialled>> dialled_;
};

}  // namespace warder::proxy
