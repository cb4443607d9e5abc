#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "identity/resolver.h"
#include "opa-client/client.h"
#include "proxy/connection_limits.h"
#include "proxy/denial_limit.h"
#include "proxy/failure.h"
#include "proxy/record.h"
#include "proxy/services.h"

namespace warder::proxy {

// Whether one request may be carried out: who is calling, what the policy says, and whether it is
// still the same caller. Everything but an allow that holds to the end is a failure.
class Approval {
 public:
  // Exactly one of the two, once, and as the last thing the approval does; the approval may be
  // destroyed only through Loop::retire of its owner.
  class Listener {
   public:
    virtual void on_approved() = 0;
    virtual void on_not_approved(Failure failure) = 0;

   protected:
    ~Listener() = default;
  };

  // `services`, `listener` and `record` outlive the approval. `record.subject` says what is asked
  // for, but for who asks: that is filled in here, as is what the policy said.
  Approval(Services& services, Listener& listener, identity::Connection connection,
           opa::Query::Request request, DecisionRecord& record);
  Approval(const Approval&) = delete;
  Approval& operator=(const Approval&) = delete;
  // Cancels whatever is under way.
  ~Approval() = default;

  // When the caller was looked at.
  enum class Look {
    early,  // maybe before it had sent its request
    fresh,  // after the whole of the request's head was there
  };

  // Who is calling; once. May call the listener before it returns.
  void begin(identity::Identity identity, std::int64_t identity_us, Look look);
  // What it was for is over, or nobody wants it any more: the caller has one connection less.
  // Synchronous: the listener is not called any more.
  void cancel();

  // Who it was given to, and what the policy answered: once approved.
  [[nodiscard]] const identity::Identity& identity() const { return identity_; }
  [[nodiscard]] const opa::Decision& decision() const { return decision_; }
  // The question it is the answer to.
  [[nodiscard]] const opa::Query& query() const { return query_; }

 private:
  enum class State {
    identifying,
    over_limit,
    too_early,
    held_back,
    reusing,
    deciding,
    confirming,
    looking_anew,
    done
  };
  enum class Next { wait, again, approved, failed };

  void identified(identity::Identity identity);
  // The only function that changes state_.
  void advance();
  Next step();
  Next do_reusing();
  Next do_deciding();
  Next do_confirming();
  Next do_looking_anew();
  void ask();
  // Whether an answer from before holds.
  bool reuse();
  // Whether the caller was denied too often lately.
  bool held_back();
  void forget_answer();
  void note(opa::Decision decision);
  void look_again();
  Next fail(Failure failure);
  Next fail_changed(const std::string& what);

  Services& services_;
  Listener& listener_;
  const identity::Connection connection_;
  const opa::Query::Request request_;
  DecisionRecord& record_;
  State state_ = State::identifying;

  identity::Identity identity_;
  opa::Query query_;
  opa::Decision decision_;
  Failure failure_;
  std::string identity_key_;
  std::optional<ConnectionLimits::Slot> identity_slot_;
  std::uint64_t asked_at_ns_ = 0;
  std::uint64_t changes_when_asked_ = 0;  // AnswerReuse::changes()
  std::string reuse_key_;
  std::unique_ptr<DenialLimit::Question> counted_;  // while OPA is asked; nullptr: nobody counts
  Look look_ = Look::early;

  // The work of the state that waits, and its result once it is there.
  std::unique_ptr<opa::Call> call_;
  std::optional<Result<opa::Decision>> answer_;
  std::unique_ptr<identity::Lookup> second_look_;
  std::optional<std::optional<identity::Change>> change_;
  std::optional<identity::Identity> now_;
  int changes_ = 0;   // of the caller, since the first look
  int arrivals_ = 0;  // of programs behind it
};

}  // namespace warder::proxy
