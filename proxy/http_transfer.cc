#include "proxy/http_transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <utility>

#include "net/http/forwarding.h"
#include "net/http/head_rules.h"
#include "net/socket.h"

namespace warder::proxy {

namespace {

// What one turn reads at most from either side, so that one fast stream doesn't keep the others
// waiting.
constexpr std::size_t kBudget = 262144;
// Above this much unwritten, the other side is not read any further.
constexpr std::size_t kUnwritten = 65536;
constexpr int kInterimAnswers = 16;

using TransferBuffer = std::array<char, 65536>;

Failure origin_failure(std::string code, std::string reason, int status = 502) {
  return {Verdict::error, std::move(code), std::move(reason), status, std::nullopt};
}

Failure gone(const Error& error) {
  return {Verdict::error, "client_gone", "The client's connection broke: " + describe(error) + ".",
          0, std::nullopt};
}

}  // namespace

HttpTransfer::HttpTransfer(Services& services, Listener& listener, ClientPort& client,
                           std::unique_ptr<Upstream> upstream, Request request)
    : services_(services),
      listener_(listener),
      client_(client),
      upstream_(std::move(upstream)),
      request_(std::move(request)),
      clock_(services.loop, [this] { on_clock(); }) {}

void HttpTransfer::begin() {
  upstream_->give_to(*this);
  up_ = std::exchange(request_.head, {});
  body_.emplace(request_.body, http::BodyLimits{}, Errc::bad_request);
  body_taken_ = body_->done();
  head_.emplace(http::kResponseHeadLimits);
  last_moved_ms_ = services_.loop.now_ms();
  start_clock();
  advance();
}

void HttpTransfer::on_client_ready(net::Readiness readiness) {
  client_readable_ = client_readable_ || readiness.readable;
  client_writable_ = client_writable_ || readiness.writable;
  advance();
}

void HttpTransfer::on_upstream_ready(Upstream&, net::Readiness readiness) {
  origin_readable_ = origin_readable_ || readiness.readable;
  origin_writable_ = origin_writable_ || readiness.writable;
  advance();
}

void HttpTransfer::abort() {
  over_ = true;
  clock_.stop();
  if (upstream_) upstream_->abort();
}

void HttpTransfer::advance() {
  if (over_) return;
  budget_ = kBudget;
  bool moved = false;
  for (bool again = true; again && !end_;) {
    again = move_request();
    if (!end_) again = move_answer() || again;
    moved = moved || again;
  }
  if (moved) last_moved_ms_ = services_.loop.now_ms();
  if (!end_) return watch();
  over_ = true;
  clock_.stop();
  End over = std::move(*end_);
  over.bytes_up = bytes_up_;
  over.bytes_down = bytes_down_;
  listener_.on_transfer_over(std::move(over));
}

bool HttpTransfer::move_request() {
  bool moved = false;
  // A short body goes out with the head.
  if (!body_taken_ && !request_broken_ && !client_.in.empty() && up_.size() < kUnwritten) {
    moved = take_body();
  }
  if (end_) return moved;
  moved = flush_request() || moved;
  // Ahead of its turn only a little is read: enough to see that the client went away.
  const bool ahead = body_taken_ || request_broken_;
  const bool room = ahead ? !client_.full() : client_.in.empty() && up_.empty();
  if (room && client_readable_) moved = read_client() || moved;
  if (end_ || ahead || !client_.in.empty() || !client_.ended || !up_.empty()) return moved;
  request_failed({Verdict::error, "bad_request",
                  "The connection ended inside the body of the request.", 400, std::nullopt});
  return true;
}

bool HttpTransfer::flush_request() {
  bool moved = false;
  while (!up_.empty() && origin_writable_ && !request_broken_) {
    const Result<net::Transfer> sent = upstream_->write(up_);
    if (!sent) {
      // It may have answered before it closed: what it said comes first.
      request_broken_ = true;
      write_error_ = sent.error();
      origin_readable_ = true;
      break;
    }
    if (sent->would_block) {
      origin_writable_ = false;
      break;
    }
    bytes_up_ += sent->bytes;
    up_.erase(0, sent->bytes);
    moved = true;
  }
  return moved;
}

bool HttpTransfer::read_client() {
  if (budget_ == 0 || client_.ended) return false;
  TransferBuffer buffer;
  const Result<net::Transfer> got = net::read_some(client_.fd.get(), buffer);
  if (!got) {
    end(End::How::client_gone, ClosedBy::client, gone(got.error()));
    return true;
  }
  client_readable_ = got->bytes == buffer.size();
  if (got->end) {
    client_.ended = true;
    start_clock();
  }
  if (got->would_block || got->end) return got->end;
  budget_ -= std::min(budget_, got->bytes);
  client_.in.append(buffer.data(), got->bytes);
  return true;
}

// From what the client has sent to what the origin is sent. Not once the origin takes no more.
bool HttpTransfer::take_body() {
  std::size_t used = 0;
  while (used < client_.in.size() && !body_->done() && up_.size() < kUnwritten) {
    const Result<http::BodyReader::Piece> piece =
        body_->feed(std::span<const char>(client_.in).subspan(used));
    if (!piece) {
      request_failed(failure_of(piece.error()));
      return true;
    }
    used += piece->used;
    if (request_.body.kind == http::Framing::chunked) {
      http::append_chunk(up_, piece->data);
    } else {
      up_.append(piece->data);
    }
  }
  client_.in.erase(0, used);
  if (body_->done()) {
    body_taken_ = true;
    if (request_.body.kind == http::Framing::chunked) {
      http::append_last_chunk(up_, body_->take_trailers());
    }
  }
  return used > 0 || body_taken_;
}

bool HttpTransfer::move_answer() {
  bool moved = flush_answer();
  if (end_) return moved;
  if (answer_whole_ || switching_) {
    if (!switching_ && !client_.out.empty()) return moved;
    if (!switching_ && uploading()) {
      start_clock();
      return moved;
    }
    answer_whole();
    return true;
  }
  if (!origin_readable_ || client_.out.size() >= kUnwritten) return moved;
  return read_origin() || moved;
}

bool HttpTransfer::flush_answer() {
  bool moved = false;
  while (!client_.out.empty() && client_writable_ && !switching_) {
    const Result<net::Transfer> sent = net::write_some(client_.fd.get(), client_.out);
    if (!sent) {
      end(End::How::client_gone, ClosedBy::client, gone(sent.error()));
      return true;
    }
    if (sent->would_block) {
      client_writable_ = false;
      break;
    }
    client_.out.erase(0, sent->bytes);
    moved = true;
  }
  return moved;
}

bool HttpTransfer::read_origin() {
  if (budget_ == 0) return false;
  TransferBuffer buffer;
  const Result<net::Transfer> got = upstream_->read(buffer);
  if (!got) {
    origin_ended(&got.error());
    return true;
  }
  origin_readable_ = got->bytes == buffer.size();
  if (got->would_block) return false;
  if (got->end) {
    origin_ended(nullptr);
    return true;
  }
  budget_ -= std::min(budget_, got->bytes);
  bytes_down_ += got->bytes;
  answer_bytes({buffer.data(), got->bytes});
  return true;
}

void HttpTransfer::answer_bytes(std::span<const char> bytes) {
  while (!bytes.empty() && !end_ && !answer_whole_ && !switching_) {
    if (!(answer_ ? body_bytes(bytes) : head_bytes(bytes))) return;
  }
  // What comes behind the end of an answer is nobody's.
  if (!bytes.empty()) origin_reusable_ = false;
}

bool HttpTransfer::head_bytes(std::span<const char>& bytes) {
  const Result<std::size_t> used = head_->feed(bytes);
  if (!used) {
    fail(ClosedBy::origin, failure_of(used.error()));
    return false;
  }
  bytes = bytes.subspan(*used);
  if (!head_->done()) return true;
  const http::ResponseHead head = head_->take();
  if (head.status == 101) {
    on_switching(head, bytes);
  } else if (head.status < 200) {
    on_interim(head);
  } else {
    on_final(head);
  }
  return !end_;
}

void HttpTransfer::on_interim(const http::ResponseHead& head) {
  if (++interim_answers_ > kInterimAnswers) {
    return fail(
        ClosedBy::origin,
        origin_failure("bad_response", "The origin sends one interim answer after another."));
  }
  head_.emplace(http::kResponseHeadLimits);
  // RFC 9110 section 15.2: a client of HTTP/1.0 doesn't know them.
  if (request_.client_minor == 0) return;
  http::ResponseOptions options;
  options.client_minor = request_.client_minor;
  options.keep_alive = true;
  options.pseudonym = services_.pseudonym;
  client_.out += http::forward_response_head(head, options);
}

void HttpTransfer::on_switching(const http::ResponseHead& head, std::span<const char>& rest) {
  const std::string* upgrade = head.header("upgrade");
  if (!request_.websocket || !request_done() || upgrade == nullptr ||
      !http::same_name(*upgrade, "websocket")) {
    return fail(ClosedBy::origin,
                origin_failure("bad_response", "The origin switches to a protocol unasked."));
  }
  http::ResponseOptions options;
  options.client_minor = request_.client_minor;
  options.keep_alive = true;
  options.own = request_.own;
  options.pseudonym = services_.pseudonym;
  options.websocket = true;
  client_.out += http::forward_response_head(head, options);
  client_.out.append(rest.data(), rest.size());
  rest = {};
  switching_ = true;
  begin_answer(head.status);
}

void HttpTransfer::on_final(const http::ResponseHead& head) {
  const Result<http::BodyFraming> framing = http::response_framing(head, request_.method);
  if (!framing) return fail(ClosedBy::origin, failure_of(framing.error()));
  // Whoever has an answer before the request is whole may not be listening for the rest of it.
  if (!body_taken_) request_.keep_alive = false;
  http::ResponseOptions options;
  options.client_minor = request_.client_minor;
  options.framing = http::client_framing(*framing, request_.client_minor);
  if (options.framing.kind == http::Framing::until_close) request_.keep_alive = false;
  options.keep_alive = request_.keep_alive;
  options.own = request_.own;
  options.pseudonym = services_.pseudonym;
  // RFC 9110 section 6.6.1.
  const std::string date =
      head.header("date") == nullptr ? http::date_text(std::time(nullptr)) : "";
  options.date = date;
  client_.out += http::forward_response_head(head, options);
  answer_framing_ = options.framing.kind;
  origin_reusable_ = http::persists_after(head) && framing->kind != http::Framing::until_close;
  answer_.emplace(*framing, http::BodyLimits{}, Errc::bad_response);
  answer_whole_ = answer_->done();
  begin_answer(head.status);
}

bool HttpTransfer::body_bytes(std::span<const char>& bytes) {
  const Result<http::BodyReader::Piece> piece = answer_->feed(bytes);
  if (!piece) {
    fail(ClosedBy::origin, failure_of(piece.error()));
    return false;
  }
  bytes = bytes.subspan(piece->used);
  const bool chunked = answer_framing_ == http::Framing::chunked;
  if (chunked) {
    http::append_chunk(client_.out, piece->data);
  } else {
    client_.out.append(piece->data);
  }
  if (!answer_->done()) return true;
  answer_whole_ = true;
  if (chunked) http::append_last_chunk(client_.out, answer_->take_trailers());
  return true;
}

// `error`: nullptr for an orderly end.
void HttpTransfer::origin_ended(const Error* error) {
  origin_reusable_ = false;
  // A failed write takes a reset away from the read. After an orderly end it says EPIPE.
  if (error == nullptr && write_error_ && write_error_->sys_errno != EPIPE) error = &*write_error_;
  if (answer_ && error == nullptr && answer_->finish()) {
    if (answer_framing_ == http::Framing::chunked) http::append_last_chunk(client_.out, {});
    answer_whole_ = true;
    return;
  }
  const std::string how = error == nullptr ? "ended" : "broke (" + describe(*error) + ")";
  // Not after a reset: that acknowledges nothing, whatever was read before it.
  if (error == nullptr && !answer_begun_ && bytes_down_ == 0 && upstream_->untouched()) {
    return end(End::How::untouched, ClosedBy::origin,
               origin_failure("origin_closed", "The connection to the origin " + how +
                                                   " before the request could be sent."));
  }
  fail(ClosedBy::origin,
       origin_failure("origin_closed", fmt::format("The connection to the origin {} {}.", how,
                                                   answer_begun_ ? "before its answer was whole"
                                                                 : "before there was an answer")));
}

void HttpTransfer::answer_whole() {
  End over;
  over.how = switching_ ? End::How::switched : End::How::complete;
  over.client_reusable = request_.keep_alive && body_taken_;
  if (switching_ || (origin_reusable_ && request_done())) {
    upstream_->exchange_done();
    over.upstream = std::move(upstream_);
  } else {
    upstream_->watch({});
  }
  end_ = std::move(over);
}

void HttpTransfer::end(End::How how, ClosedBy closed_by, Failure failure) {
  End over;
  over.how = how;
  over.closed_by = closed_by;
  over.failure = std::move(failure);
  upstream_->abort();
  end_ = std::move(over);
}

void HttpTransfer::fail(ClosedBy closed_by, Failure failure) {
  end(answer_begun_ ? End::How::cut : End::How::failed, closed_by, std::move(failure));
}

void HttpTransfer::request_failed(Failure failure) {
  if (!answer_begun_) return fail(ClosedBy::client, std::move(failure));
  request_broken_ = true;
  request_.keep_alive = false;
}

bool HttpTransfer::uploading() const {
  return origin_reusable_ && !request_done() && !request_broken_;
}

void HttpTransfer::begin_answer(int status) {
  answer_begun_ = true;
  start_clock();
  listener_.on_answer_begun(status);
}

std::chrono::milliseconds HttpTransfer::quiet_limit() const {
  const Config::Timeouts& timeouts = services_.config.timeouts;
  if (answer_whole_ && client_.out.empty()) return timeouts.linger;
  const auto limit = answer_begun_ ? timeouts.idle : timeouts.response;
  // Whoever has ended its side may be gone altogether: that looks the same.
  return client_.ended ? std::min(limit, timeouts.drain) : limit;
}

void HttpTransfer::start_clock() { clock_.start(quiet_limit()); }

// Not started anew for every byte: it looks, when it rings, how long it has been quiet.
void HttpTransfer::on_clock() {
  const std::chrono::milliseconds limit = quiet_limit();
  const std::chrono::milliseconds quiet(services_.loop.now_ms() - last_moved_ms_);
  if (quiet < limit) return clock_.start(limit - quiet);
  if (answer_whole_) {
    // The rest of a request that was answered long ago, and does not come.
    request_broken_ = true;
  } else if (client_.ended) {
    end(End::How::client_gone, ClosedBy::client,
        {Verdict::error, "client_gone",
         "The client had ended its side, and nothing moved for timeouts.drain.", 0, std::nullopt});
  } else if (!answer_begun_ && !body_taken_ && up_.empty()) {
    fail(ClosedBy::proxy, {Verdict::error, "body_timeout",
                           "The body of the request did not arrive in time.", 408, std::nullopt});
  } else {
    fail(ClosedBy::proxy, origin_failure("response_timeout",
                                         answer_begun_ ? "Nothing of the answer moved for too long."
                                                       : "The origin did not answer in time.",
                                         504));
  }
  advance();
}

void HttpTransfer::watch() {
  const bool ahead = body_taken_ || request_broken_;
  const bool wants_client =
      !client_.ended && (ahead ? !client_.full() : client_.in.empty() && up_.empty());
  client_.watcher->watch({wants_client, !client_.out.empty()});
  const bool wants_origin = !answer_whole_ && client_.out.size() < kUnwritten;
  upstream_->watch({wants_origin, !up_.empty() && !request_broken_});
}

}  // namespace warder::proxy
