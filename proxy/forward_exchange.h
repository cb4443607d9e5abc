#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/http/body.h"
#include "net/http/forwarding.h"
#include "net/http/head.h"
#include "net/http/request_path.h"
#include "net/lookup.h"
#include "proxy/approval.h"
#include "proxy/client_port.h"
#include "proxy/dialer.h"
#include "proxy/http_transfer.h"
#include "proxy/refusal.h"
#include "proxy/services.h"

namespace warder::proxy {

// A request to be forwarded, as far as its head alone says.
struct ForwardRequest {
  http::RequestHead head;
  http::BodyFraming body{};
  http::RequestPath path;
};

// Errors: what is wrong with framing, path or query, as of their readers.
[[nodiscard]] Result<ForwardRequest> read_forward_request(http::RequestHead head);

// One forwarded request: approval, name, guard, a connection to the origin, transfer. Each request
// of a connection is one of its own, and nothing of it reaches the origin before it is approved.
class ForwardExchange final : Approval::Listener, HttpTransfer::Listener {
 public:
  // Exactly one of them, once, and as the last thing the exchange does; the exchange may be
  // destroyed only through Loop::retire of its owner. The records are written before.
  class Listener {
   public:
    // The answer is written, but for what is in the port's `out`; `reusable`: another request may
    // come after it.
    virtual void on_forwarded(bool reusable) = 0;
    // Nothing of an answer was sent.
    virtual void on_refused(Refusal refusal) = 0;
    // The answer can't be completed, or nobody reads it.
    virtual void on_cut() = 0;
    // 101: from here on it is a tunnel. What the port holds goes first, on either side.
    virtual void on_switched(net::UniqueFd origin) = 0;

   protected:
    ~Listener() = default;
  };

  // `services`, `listener` and `client` outlive the exchange.
  ForwardExchange(Services& services, Listener& listener, identity::Connection connection,
                  ClientPort& client, ForwardRequest request, Subject subject);
  ForwardExchange(const ForwardExchange&) = delete;
  ForwardExchange& operator=(const ForwardExchange&) = delete;
  // Cancels whatever is under way.
  ~ForwardExchange() = default;

  // Who is calling; once. May call the listener before it returns.
  void begin(identity::Identity identity, std::int64_t identity_us, Approval::Look look);
  // The client's socket may be read or written.
  void on_client_ready(net::Readiness readiness);
  // Nobody waits for the outcome any more: writes the records and cancels; the listener is not
  // called.
  void abandon(std::string code, std::string reason);
  // No request after this one.
  void no_keep_alive();
  [[nodiscard]] const identity::Identity& identity() const { return approval_.identity(); }
  [[nodiscard]] const opa::Decision& decision() const { return approval_.decision(); }
  [[nodiscard]] const opa::Query& query() const { return approval_.query(); }
  [[nodiscard]] const Subject& subject() const { return record_.subject; }

 private:
  enum class State { approving, resolving, dialling, transferring, done };
  enum class Next { wait, again, refused, answered, transferring };

  void on_approved() override;
  void on_not_approved(Failure failure) override;
  void on_answer_begun(int status) override;
  void on_transfer_over(HttpTransfer::End end) override;

  // The only function that changes state_, but for what the approval and the transfer say.
  void advance();
  Next step();
  Next render();
  Next look_up();
  Next do_resolving();
  Next reach(const std::vector<net::IpAddress>& addresses);
  Next do_dialling();
  Next start_transfer(std::unique_ptr<Upstream> upstream);
  Next fail(Failure failure);
  Next dial_now();
  void refuse();
  void answer_here();
  void write_decision();
  void write_end(const HttpTransfer::End& end);
  void read_ahead();
  // Whether its connection to the origin may serve others of the same caller. A caller that isn't
  // known may be anybody the next time.
  [[nodiscard]] bool pooled() const {
    return approval_.identity().grade != identity::Grade::unresolved;
  }

  Services& services_;
  Listener& listener_;
  ClientPort& client_;
  const ForwardRequest request_;
  State state_ = State::approving;
  DecisionRecord record_;
  bool decision_written_ = false;
  Approval approval_;
  bool approved_ = false;
  bool keep_alive_;
  std::optional<Failure> failure_;
  std::uint64_t began_ms_;

  http::ForwardedRequest forwarded_;
  std::string pool_key_;

  // The work of the state that waits, and its result once it is there.
  std::unique_ptr<net::NameLookup> lookup_;
  std::optional<Result<std::vector<net::IpAddress>>> addresses_;
  std::vector<net::IpAddress> checked_;
  std::unique_ptr<Dial> dial_;
  std::optional<Result<Dialled>> dialled_;
  std::unique_ptr<HttpTransfer> transfer_;
};

}  // namespace warder::proxy
