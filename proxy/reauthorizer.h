#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>

#include "net/error.h"
#include "net/loop.h"
#include "net/timer.h"
#include "opa-client/answer_reuse.h"
#include "proxy/record.h"

namespace warder::proxy {

// Whose turn it is among a worker's open tunnels to be decided again. Only a few are at once, so
// that a new policy, which is a reason to ask about all of them, leaves new requests their share of
// OPA. While OPA gives no answer it is asked about one of them, now and then; the others wait.
// Belongs to one loop.
class Reauthorizer {
 public:
  // One open tunnel.
  class Tunnel {
   public:
    // It is its turn, until one of answered(), not_answered(), skipped() and withdraw(), none of
    // which may be called before this returns.
    virtual void decide_again() = 0;

   protected:
    ~Tunnel() = default;
  };

  // `records` and `reuse` outlive it.
  Reauthorizer(net::Loop& loop, RecordSink& records, opa::AnswerReuse& reuse);
  Reauthorizer(const Reauthorizer&) = delete;
  Reauthorizer& operator=(const Reauthorizer&) = delete;
  ~Reauthorizer() = default;

  // The revision that some answer gave. Another one than before, or none where there was one, means
  // another policy: no answer is given again, and every tunnel is due, once the paths that the new
  // policy mentions are read (policy_names.h), so that nobody is decided about without the names
  // that it knows them by.
  void saw_revision(const std::optional<std::string>& revision);
  // They are, for that revision.
  void names_read(const std::optional<std::string>& revision);

  // It is told of changes from here on, until withdraw(). `revision` is what the answer said that
  // it was opened under: if the policy is another one by now, it is due at once.
  void enroll(Tunnel& tunnel, const std::optional<std::string>& revision);
  // It ends. Also during its turn.
  void withdraw(Tunnel& tunnel);
  // It asks for its turn, which comes in a later turn of the loop. No second time while it waits;
  // during its turn, for another one after it.
  void due(Tunnel& tunnel);
  // Its turn is over, and OPA has answered, if not with a decision: it says itself when it is due.
  void answered(Tunnel& tunnel);
  // Its turn is over, and OPA was not asked.
  void skipped(Tunnel& tunnel);
  // Its turn is over without an answer: it comes again.
  void not_answered(Tunnel& tunnel, const Error& error);

  // `interval`, give or take a tenth: tunnels that were opened at once are not asked about at once.
  [[nodiscard]] std::chrono::milliseconds jittered(std::chrono::milliseconds interval);
  [[nodiscard]] std::size_t waiting() const { return queue_.size(); }

 private:
  struct Entry {
    std::optional<std::list<Tunnel*>::iterator> place;  // in the queue
    bool active = false;
  };

  void queue(Tunnel& tunnel, Entry& entry);
  // Whether it was its turn.
  bool end_turn(Tunnel& tunnel);
  void wake();
  // The next wake() sets the timer anew.
  void hurry();
  void run();

  RecordSink& records_;
  opa::AnswerReuse& reuse_;
  net::Timer timer_;
  std::unordered_map<Tunnel*, Entry> tunnels_;
  std::list<Tunnel*> queue_;
  std::size_t active_ = 0;
  bool failing_ = false;  // the last one got no answer
  std::optional<std::string> names_of_;
  bool names_due_ = false;  // those of the policy in force are waited for
  bool holding_ = false;    // the timer runs for names
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace warder::proxy
