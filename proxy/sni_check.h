#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "net/http/authority.h"
#include "net/loop.h"
#include "net/timer.h"
#include "net/tls/client_hello.h"
#include "net/watcher.h"
#include "proxy/sni_rules.h"

namespace warder::proxy {

// The beginning of a tunnel whose policy says `sni: match`: answers the client with the head that
// opens the tunnel, reads its ClientHello, and lets nothing go to the origin before that names the
// approved host. Then it sends that one on and waits for the origin's first answer: one that asks
// for a second ClientHello (HelloRetryRequest, RFC 8446 section 4.1.4) is passed back, and the
// second one checked like the first, because an origin may go by the name in that.
class SniCheck final : net::FdWatcher::Listener {
 public:
  struct Tunnel {
    int client = -1;  // both descriptors are the caller's, and watched by nobody else
    int origin = -1;
    http::Host approved;
    std::string from_client;  // what it has sent already
    std::string to_client;    // the head that opens the tunnel
  };
  struct Limits {
    std::chrono::milliseconds client_hello;  // for each of them
    std::chrono::milliseconds answer;        // for the origin's
  };
  // What has gone through, with what it hands over for the client.
  struct Moved {
    std::uint64_t up = 0, down = 0;
  };
  // Each to be written before anything else.
  struct Rest {
    std::string to_origin, to_client;
  };
  class Listener {
   public:
    // Exactly one of the two, once, on a stack of its own and as the last thing the check does. The
    // descriptors are not watched any more; the check may be destroyed only through Loop::retire.
    virtual void on_sni_passed(Rest rest) = 0;
    virtual void on_sni_failed(SniFailure failure) = 0;

   protected:
    ~Listener() = default;
  };

  // `loop`, `parser` and `listener` outlive the check.
  SniCheck(net::Loop& loop, const tls::ClientHelloParser& parser, Tunnel tunnel, Limits limits,
           Listener& listener);
  SniCheck(const SniCheck&) = delete;
  SniCheck& operator=(const SniCheck&) = delete;
  ~SniCheck() = default;

  // Once; calls nobody before it returns. Errors: system, and then the check is over.
  [[nodiscard]] Result<void> begin();
  // Synchronous: the listener is not called any more, and the descriptors not watched.
  void cancel();
  [[nodiscard]] const Moved& moved() const { return moved_; }

 private:
  enum class State { answering, reading_hello, sending_hello, reading_answer, done };
  enum class Next { wait, again, passed, failed };

  void on_ready(net::FdWatcher& watcher, net::Readiness readiness) override;
  void on_deadline();
  // The only function that changes state_, but for the deadline.
  void advance();
  Next step();
  Next do_answering();
  Next do_reading_hello();
  Next do_sending_hello();
  Next do_reading_answer();
  // nullopt when more has to be read.
  std::optional<Next> judge();
  void watch();
  Next fail(SniFailure failure);
  void conclude();

  net::Loop& loop_;
  const tls::ClientHelloParser& parser_;
  const Tunnel tunnel_;
  const Limits limits_;
  Listener& listener_;
  std::unique_ptr<net::FdWatcher> client_;
  std::unique_ptr<net::FdWatcher> origin_;
  net::Timer deadline_;
  State state_ = State::answering;

  std::string to_client_;
  std::string from_client_;  // the ClientHello, and what the client sent behind it
  bool second_ = false;      // the ClientHello that is read, or was, is the second one
  std::unique_ptr<tls::ClientHelloReader> reader_;
  std::size_t fed_ = 0;         // bytes of from_client_ that need not be looked at again
  std::size_t hello_left_ = 0;  // bytes of from_client_ that may go to the origin
  std::string from_origin_;
  Moved moved_;
  std::optional<SniFailure> failure_;
};

}  // namespace warder::proxy
