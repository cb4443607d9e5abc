#include "opa-client/connection.h"

#include <array>
#include <utility>

namespace warder::opa {
namespace {

constexpr std::size_t kReadBytes = 16384;

}  // namespace

Connection::Connection(const Address& address, AnswerLimits limits, Listener& listener)
    : listener_(listener),
      name_(address.kind == Address::Kind::tcp ? address.endpoint.text() : address.socket_path),
      reader_(limits) {}

Result<std::unique_ptr<Connection>> Connection::open(net::Loop& loop, const Address& address,
                                                     AnswerLimits limits, Listener& listener) {
  std::unique_ptr<Connection> connection(new Connection(address, limits, listener));
  net::ByteStream::Listener& self = *connection;
  auto stream = address.kind == Address::Kind::tcp
                    ? net::open_tcp_stream(loop, address.endpoint, self)
                    : net::open_unix_stream(loop, address.socket_path, self);
  if (!stream) {
    return fail(Error{Errc::opa_unreachable, stream.error().sys_errno,
                      "connecting to " + connection->name_});
  }
  connection->stream_ = std::move(*stream);
  connection->update_interest();
  return connection;
}

std::string_view Connection::doing() const {
  switch (state_) {
    case State::connecting: return "connecting";
    case State::idle: return "idle";
    case State::exchanging:
      if (!unsent_.empty()) return "sending the question";
      return reader_.started() ? "receiving the answer" : "waiting for the answer";
    case State::closed: return "closed";
  }
  return "";
}

void Connection::send(std::string_view request) {
  unsent_ = request;
  if (state_ != State::idle) return;
  state_ = State::exchanging;
  write_unsent();
  update_interest();
}

bool Connection::withdraw() {
  if (state_ != State::connecting) return false;
  unsent_ = {};
  return true;
}

bool Connection::quiet() {
  std::array<char, 1> byte{};
  const Result<net::Transfer> got = stream_->read(byte);
  return got && got->would_block;
}

void Connection::close() {
  state_ = State::closed;
  unsent_ = {};
  stream_->watch({});
}

void Connection::update_interest() {
  switch (state_) {
    case State::connecting: stream_->watch({.readable = false, .writable = true}); break;
    case State::idle: stream_->watch({.readable = true, .writable = false}); break;
    case State::exchanging:
      stream_->watch({.readable = true, .writable = !unsent_.empty() && !write_failed_});
      break;
    case State::closed: break;
  }
}

void Connection::on_stream_ready(net::Readiness readiness) {
  if (state_ == State::connecting) return on_connected();
  if (readiness.writable && state_ == State::exchanging) {
    write_unsent();
    update_interest();
  }
  if (!readiness.readable) return;
  if (state_ == State::exchanging) return read_answer();
  // Nothing is due on an idle connection: OPA has closed it, or it speaks out of turn.
  if (state_ == State::idle && !quiet()) lose({Errc::opa_truncated, 0, "closed while idle"});
}

void Connection::on_connected() {
  if (const int sys_errno = stream_->connect_result(); sys_errno != 0) {
    return lose({Errc::opa_unreachable, sys_errno, "connecting to " + name_});
  }
  if (unsent_.empty()) {
    state_ = State::idle;
    update_interest();
    return listener_.on_connection_idle();
  }
  state_ = State::exchanging;
  write_unsent();
  update_interest();
}

void Connection::write_unsent() {
  while (!unsent_.empty() && !write_failed_) {
    const Result<net::Transfer> sent = stream_->write(unsent_);
    if (!sent) {
      // EPIPE or ECONNRESET. An answer given before may still be there to read, and the end shows
      // there as well.
      write_failed_ = true;
      return;
    }
    if (sent->would_block) return;
    unsent_.remove_prefix(sent->bytes);
  }
}

void Connection::read_answer() {
  std::array<char, kReadBytes> buffer;
  // One read per turn: the watcher is level-triggered and comes back.
  const Result<net::Transfer> got = stream_->read(buffer);
  if (!got) return on_end(&got.error());
  if (got->would_block) return;
  if (got->end) return on_end(nullptr);
  const Result<std::size_t> used = reader_.feed(std::span(buffer).first(got->bytes));
  if (!used) return lose(used.error());
  if (!reader_.done()) return;
  const bool stray = *used < got->bytes;
  finish_exchange(reader_.keep_alive() && !stray && unsent_.empty());
}

void Connection::on_end(const Error* read_error) {
  // A reset completes nothing: a body without a length would be cut at an arbitrary byte.
  if (read_error == nullptr && reader_.finish()) return finish_exchange(false);
  Error error{Errc::opa_truncated, 0,
              reader_.started() ? "the connection ended in the middle of the answer"
                                : "the connection ended before an answer"};
  if (read_error != nullptr) error.sys_errno = read_error->sys_errno;
  lose(std::move(error));
}

void Connection::finish_exchange(bool reusable) {
  Answer answer{reader_.status(), reader_.take_body()};
  if (reusable) {
    reader_.reset();
    reused_ = true;
    state_ = State::idle;
    update_interest();
  } else {
    close();
  }
  listener_.on_answer(std::move(answer));
}

void Connection::lose(Error error) {
  const bool stale = state_ == State::exchanging && reused_ && !reader_.started();
  close();
  listener_.on_connection_lost(std::move(error), stale);
}

}  // namespace warder::opa
