#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/http/body.h"
#include "net/http/response_head.h"
#include "net/timer.h"
#include "proxy/client_port.h"
#include "proxy/failure.h"
#include "proxy/services.h"
#include "proxy/upstream.h"

namespace warder::proxy {

// Carries one request to the origin and the answer back: both at the same time, in bounded memory,
// each as fast as its slower side. Every byte that goes on was understood first: framing is written
// anew on both sides.
class HttpTransfer final : Upstream::User {
 public:
  struct Request {
    std::string head;    // for the origin, whole
    std::string method;  // as in the head
    int client_minor = 1;
    http::BodyFraming body{};       // as the client sends it, and as it is sent on
    bool websocket = false;         // 101 is an answer to it
    bool keep_alive = false;        // the client would send another one
    std::vector<http::Header> own;  // what is added to the head of the answer
  };

  struct End {
    enum class How {
      complete,     // the answer is written
      switched,     // 101 was the answer: what is in the port's `out` and `in` goes first
      failed,       // nothing of a final answer was sent to the client
      untouched,    // likewise, and nothing of the request can have been read by the origin
      cut,          // the answer was begun and can't be completed
      client_gone,  // nobody is there to read it
    };
    How how = How::failed;
    // complete: the client's connection may carry another request.
    bool client_reusable = false;
    // complete: set if it may carry another request. switched: always set.
    std::unique_ptr<Upstream> upstream;
    // Unless complete or switched: why, and through whom.
    Failure failure;
    ClosedBy closed_by = ClosedBy::proxy;
    std::uint64_t bytes_up = 0, bytes_down = 0;  // to and from the origin
  };

  class Listener {
   public:
    // The head of the final answer is on its way. Must not destroy the transfer.
    virtual void on_answer_begun(int status) = 0;
    // Once, as the last thing the transfer does; destroy it through Loop::retire only.
    virtual void on_transfer_over(End end) = 0;

   protected:
    ~Listener() = default;
  };

  // `services`, `listener` and `client` outlive the transfer.
  HttpTransfer(Services& services, Listener& listener, ClientPort& client,
               std::unique_ptr<Upstream> upstream, Request request);
  HttpTransfer(const HttpTransfer&) = delete;
  HttpTransfer& operator=(const HttpTransfer&) = delete;
  // Cancels.
  ~HttpTransfer() = default;

  // May call the listener before it returns, as may on_client_ready().
  void begin();
  void on_client_ready(net::Readiness readiness);
  // No request after this one.
  void no_keep_alive() { request_.keep_alive = false; }
  // What has moved so far.
  [[nodiscard]] std::uint64_t bytes_up() const { return bytes_up_; }
  [[nodiscard]] std::uint64_t bytes_down() const { return bytes_down_; }
  // Synchronous: the listener is not called any more; the origin sees a reset.
  void abort();

 private:
  void on_upstream_ready(Upstream& upstream, net::Readiness readiness) override;
  void on_clock();

  // The only function that moves anything.
  void advance();
  bool move_request();
  bool flush_request();
  bool read_client();
  bool take_body();
  bool move_answer();
  bool flush_answer();
  bool read_origin();
  void answer_bytes(std::span<const char> bytes);
  bool head_bytes(std::span<const char>& bytes);
  void on_head(http::ResponseHead head);
  void on_interim(const http::ResponseHead& head);
  void on_switching(const http::ResponseHead& head, std::span<const char>& rest);
  void on_final(const http::ResponseHead& head);
  bool body_bytes(std::span<const char>& bytes);
  void origin_ended(const Error* error);
  void answer_whole();
  // What the client did wrong in its request: after an answer has begun that one still counts.
  void request_failed(Failure failure);
  void end(End::How how, ClosedBy closed_by, Failure failure);
  void fail(ClosedBy closed_by, Failure failure);
  void begin_answer(int status);
  void start_clock();
  [[nodiscard]] std::chrono::milliseconds quiet_limit() const;
  void watch();
  // Whether the origin, having answered already, still takes what is left of the request.
  [[nodiscard]] bool uploading() const;
  [[nodiscard]] bool request_done() const { return body_taken_ && up_.empty(); }

  Services& services_;
  Listener& listener_;
  ClientPort& client_;
  std::unique_ptr<Upstream> upstream_;
  Request request_;
  net::Timer clock_;
  std::uint64_t last_moved_ms_ = 0;
  std::uint64_t bytes_up_ = 0, bytes_down_ = 0;
  std::size_t budget_ = 0;  // bytes that may still be read in this turn

  bool client_readable_ = false, client_writable_ = true;
  bool origin_readable_ = false, origin_writable_ = true;

  std::string up_;  // for the origin, not written yet
  std::optional<http::BodyReader> body_;
  bool body_taken_ = false;      // the client has sent all of the request
  bool request_broken_ = false;  // no more of it is sent
  // Why, where a write said so: reading would not say it again.
  std::optional<Error> write_error_;

  std::optional<http::ResponseHeadReader> head_;
  std::optional<http::BodyReader> answer_;
  http::Framing answer_framing_ = http::Framing::none;  // as it is written to the client
  int interim_answers_ = 0;
  bool answer_begun_ = false;
  bool answer_whole_ = false;
  bool switching_ = false;
  bool origin_reusable_ = false;
  std::optional<End> end_;
  bool over_ = false;  // the listener has been told
};

}  // namespace warder::proxy
