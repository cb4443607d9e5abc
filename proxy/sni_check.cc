#include "proxy/sni_check.h"

#include <array>
#include <string_view>
#include <utility>

#include "net/socket.h"
#include "net/tls/records.h"

namespace warder::proxy {
namespace {

using Buffer = std::array<char, 16384>;

// Between two ClientHellos: change_cipher_spec, and early data that the origin will not take.
constexpr std::size_t kBeforeSecondHello = 65536;

}  // namespace

SniCheck::SniCheck(net::Loop& loop, const tls::ClientHelloParser& parser, Tunnel tunnel,
                   Limits limits, Listener& listener)
    : loop_(loop),
      parser_(parser),
      tunnel_(std::move(tunnel)),
      limits_(limits),
      listener_(listener),
      deadline_(loop, [this] { on_deadline(); }),
      to_client_(tunnel_.to_client),
      from_client_(tunnel_.from_client),
      reader_(std::make_unique<tls::ClientHelloReader>(parser)) {}

Result<void> SniCheck::begin() {
  for (const auto& [fd, place] :
       {std::pair(tunnel_.client, &client_), {tunnel_.origin, &origin_}}) {
    auto watcher = net::FdWatcher::create(loop_, fd, *this);
    if (!watcher) {
      cancel();
      return warder::fail(std::move(watcher.error()));
    }
    *place = std::move(*watcher);
  }
  deadline_.start(limits_.client_hello);
  watch();
  return {};
}

void SniCheck::cancel() {
  state_ = State::done;
  client_.reset();
  origin_.reset();
  deadline_.stop();
}

void SniCheck::on_ready(net::FdWatcher&, net::Readiness) { advance(); }

void SniCheck::on_deadline() {
  if (state_ == State::reading_answer || state_ == State::sending_hello) {
    failure_ = SniFailure{ClosedBy::proxy, "server_hello_timeout",
                          "The origin did not answer the ClientHello in time.", std::nullopt,
                          tls::fatal_alert(tls::AlertDescription::access_denied)};
  } else {
    failure_ = hello_timeout(reader_->started());
  }
  conclude();
}

void SniCheck::advance() {
  for (;;) {
    switch (step()) {
      case Next::wait: return watch();
      case Next::again: break;
      case Next::passed:
      case Next::failed: return conclude();
    }
  }
}

void SniCheck::watch() {
  client_->watch({state_ == State::reading_hello, state_ == State::answering});
  origin_->watch({state_ == State::reading_answer, state_ == State::sending_hello});
}

SniCheck::Next SniCheck::step() {
  switch (state_) {
    case State::answering: return do_answering();
    case State::reading_hello: return do_reading_hello();
    case State::sending_hello: return do_sending_hello();
    case State::reading_answer: return do_reading_answer();
    case State::done: break;
  }
  return Next::wait;
}

SniCheck::Next SniCheck::do_answering() {
  while (!to_client_.empty()) {
    const Result<net::Transfer> sent = net::write_some(tunnel_.client, to_client_);
    if (!sent) return fail({ClosedBy::client, "reset", {}, std::nullopt, {}});
    if (sent->would_block) return Next::wait;
    to_client_.erase(0, sent->bytes);
    if (second_) moved_.down += sent->bytes;
  }
  deadline_.start(limits_.client_hello);
  state_ = State::reading_hello;
  return Next::again;
}

SniCheck::Next SniCheck::do_reading_hello() {
  Buffer buffer;
  for (;;) {
    if (const std::optional<Next> next = judge()) return *next;
    const Result<net::Transfer> got = net::read_some(tunnel_.client, buffer);
    if (!got) return fail({ClosedBy::client, "reset", {}, std::nullopt, {}});
    if (got->would_block) return Next::wait;
    if (got->end) {
      // Nobody has said anything: not worth more than a tunnel's record.
      if (from_client_.empty()) return fail({ClosedBy::client, "end", {}, std::nullopt, {}});
      return fail(hello_incomplete());
    }
    from_client_.append(buffer.data(), got->bytes);
  }
}

std::optional<SniCheck::Next> SniCheck::judge() {
  if (second_ && !reader_->started()) {
    const auto before = tls::before_second_hello(from_client_);
    if (!before && from_client_.size() <= kBeforeSecondHello) return std::nullopt;
    fed_ = before.value_or(0);
  }
  const std::string_view unseen = std::string_view(from_client_).substr(fed_);
  fed_ = from_client_.size();
  if (!reader_->feed(unseen)) return std::nullopt;
  if (auto failure = judge_hello(reader_->outcome(), tunnel_.approved)) {
    return fail(std::move(*failure));
  }
  if (second_) return Next::passed;
  hello_left_ = reader_->size();
  deadline_.start(limits_.answer);
  state_ = State::sending_hello;
  return Next::again;
}

// What is wrong with the origin is for the relay to find.
SniCheck::Next SniCheck::do_sending_hello() {
  while (hello_left_ > 0) {
    const Result<net::Transfer> sent =
        net::write_some(tunnel_.origin, std::string_view(from_client_).substr(0, hello_left_));
    if (!sent) return Next::passed;
    if (sent->would_block) return Next::wait;
    from_client_.erase(0, sent->bytes);
    hello_left_ -= sent->bytes;
    moved_.up += sent->bytes;
  }
  state_ = State::reading_answer;
  return Next::again;
}

SniCheck::Next SniCheck::do_reading_answer() {
  Buffer buffer;
  for (;;) {
    const Result<net::Transfer> got = net::read_some(tunnel_.origin, buffer);
    if (!got || got->end) return Next::passed;
    if (got->would_block) return Next::wait;
    from_origin_.append(buffer.data(), got->bytes);
    const tls::ServerAnswer answer = tls::read_server_answer(from_origin_);
    if (answer == tls::ServerAnswer::incomplete && from_origin_.size() < buffer.size()) continue;
    if (answer != tls::ServerAnswer::hello_retry) return Next::passed;
    second_ = true;
    to_client_ = std::exchange(from_origin_, {});
    reader_ = std::make_unique<tls::ClientHelloReader>(parser_);
    fed_ = 0;
    deadline_.start(limits_.client_hello);
    state_ = State::answering;
    return Next::again;
  }
}

SniCheck::Next SniCheck::fail(SniFailure failure) {
  failure_ = std::move(failure);
  return Next::failed;
}

void SniCheck::conclude() {
  cancel();
  if (!failure_) {
    moved_.down += from_origin_.size();
    return listener_.on_sni_passed({std::move(from_client_), std::move(from_origin_)});
  }
  // An alert behind half of something else would be part of that.
  if (!to_client_.empty()) failure_->alert.clear();
  listener_.on_sni_failed(std::move(*failure_));
}

}  // namespace warder::proxy
