#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "identity/resolver.h"
#include "net/address.h"
#include "net/timer.h"
#include "opa-client/client.h"
#include "proxy/reauthorizer.h"
#include "proxy/record.h"
#include "proxy/services.h"

namespace warder::proxy {

// As what a tunnel was opened.
struct OpenTunnel {
  Subject subject;
  identity::Connection connection;
  identity::Identity caller;
  opa::Query::Request request;
  opa::Decision decision;
  net::Endpoint origin;
};

// Whether a tunnel may stay open. Its caller is looked at once soon after the opening; and each
// tunnels.reauthorize, and when the policy becomes another one, caller and policy both. Whatever
// would not be opened now is closed; where there is no decision now, the last one holds, but not
// for a tunnel about which OPA answers again and again without one.
class TunnelWatch final : Reauthorizer::Tunnel {
 public:
  class Listener {
   public:
    // The last thing a watch does, on a stack of its own; `code` is the tunnel's close_reason. The
    // watch may be destroyed only through Loop::retire.
    virtual void on_revoked(std::string code) = 0;

   protected:
    ~Listener() = default;
  };

  // `services` and `listener` outlive it. It begins with the constructor.
  TunnelWatch(Services& services, Listener& listener, OpenTunnel tunnel);
  TunnelWatch(const TunnelWatch&) = delete;
  TunnelWatch& operator=(const TunnelWatch&) = delete;
  ~TunnelWatch();

  // Synchronous: the listener is not called any more.
  void cancel();

 private:
  enum class State {
    first_look,  // not before the timer, and of the caller only
    waiting,     // until its turn
    looking,     // in its turn, as are the next four
    looking_anew,
    asking,
    checking_opa,  // whose answer was undefined
    asking_again,
    over
  };
  enum class Next { wait, again, turn_over, revoked };

  void decide_again() override;
  void on_timer();

  // The only function that changes state_, but for the beginning of a turn.
  void advance();
  Next step();
  Next do_look();
  Next do_looking_anew();
  Next do_asking();
  Next do_checking_opa();
  // The caller is still the one it was.
  Next caller_holds();
  Next judge(opa::Decision decision);
  Next not_decided(const Error& error);
  Next not_answered(const Error& error);
  Next revoke(std::string code, std::string reason);
  Next revoke_for_caller(std::string code, std::string message, const std::string& what);
  void look();
  void ask();
  void check_opa();
  void record(Verdict verdict, std::string code, std::string reason);
  void schedule(std::chrono::milliseconds after);

  Services& services_;
  Listener& listener_;
  OpenTunnel tunnel_;
  net::Timer timer_;
  State state_ = State::first_look;
  int failed_looks_ = 0;  // in a row
  // Answers since the last decision that were none: all, and those that only this tunnel gets.
  int answers_ = 0, own_answers_ = 0;
  std::string code_;  // why it is revoked

  // The work of the state that waits, and its result once it is there.
  std::unique_ptr<identity::Lookup> lookup_;
  std::optional<std::optional<identity::Change>> change_;
  std::optional<identity::Identity> now_;
  std::unique_ptr<opa::Call> call_;
  std::optional<Result<opa::Decision>> answer_;
  std::optional<Result<opa::Document>> health_;
  std::unique_ptr<DenialLimit::Question> counted_;  // while OPA is asked; nullptr: nobody counts
  std::uint64_t asked_at_ns_ = 0;
  std::chrono::microseconds took_{};  // until the last answer
};

}  // namespace warder::proxy
