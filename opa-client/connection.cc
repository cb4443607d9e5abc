#include "opa-client/connection.h"

#include <array>
#include <utility>

namespace warder::opa {
namespace {

constexpr std::size_t kReadBytes = 16384;

}  // namespace

Connection::Connection(net::Loop& loop, const ClientOptions& options, Listener& listener)
    : loop_(loop),
      options_(options),
      listener_(listener),
      reader_({.body_bytes = options.max_answer_bytes}) {}

Result<std::unique_ptr<Connection>> Connection::open(net::Loop& loop, const ClientOptions& options,
                                                     Listener& listener) {
  std::unique_ptr<Connection> connection(new Connection(loop, options, listener));
  if (Result<void> started = connection->start(); !started) return fail(started.error());
  return connection;
}

Result<void> Connection::start() {
  const Address& address = options_.address;
  if (address.tls && options_.tls == nullptr) {
    return fail(Errc::opa_unreachable, "https without a TLS context");
  }
  if (address.name.empty()) {
    untried_.push_back(address.endpoint);
    return connect_next();
  }
  if (options_.names == nullptr) {
    return fail(Errc::opa_unreachable, "a name without a resolver: " + address.name);
  }
  lookup_ = options_.names->start(
      address.name,
      [this](Result<std::vector<net::IpAddress>> addresses) { on_resolved(std::move(addresses)); });
  return {};
}

void Connection::on_resolved(Result<std::vector<net::IpAddress>> addresses) {
  if (!addresses) {
    Error error = unreachable(addresses.error());
    error.detail = "looking up " + options_.address.name + ": " + describe(addresses.error());
    return lose(std::move(error));
  }
  for (auto at = addresses->rbegin(); at != addresses->rend(); ++at) {
    untried_.push_back({*at, options_.address.endpoint.port});
  }
  if (const Result<void> started = connect_next(); !started) lose(started.error());
}

Result<void> Connection::connect_next() {
  state_ = State::connecting;
  Error last{Errc::opa_unreachable, 0, "no address"};
  while (!untried_.empty()) {
    at_ = untried_.back();
    untried_.pop_back();
    auto stream = open_stream();
    if (stream) {
      stream_ = std::move(*stream);
      update_interest();
      return {};
    }
    last = unreachable(stream.error());
  }
  return fail(std::move(last));
}

Result<std::unique_ptr<net::ByteStream>> Connection::open_stream() {
  if (!options_.address.tls) return open_plain(*this);
  return tls::open_client_stream(
      loop_, options_.tls->current(), options_.address.tls_peer,
      [this](net::ByteStream::Listener& listener) { return open_plain(listener); }, *this);
}

Result<std::unique_ptr<net::ByteStream>> Connection::open_plain(
    net::ByteStream::Listener& listener) const {
  const Address& address = options_.address;
  return address.kind == Address::Kind::tcp
             ? net::open_tcp_stream(loop_, at_, listener)
             : net::open_unix_stream(loop_, address.socket_path, listener);
}

Error Connection::unreachable(const Error& why) const {
  const bool tcp = options_.address.kind == Address::Kind::tcp;
  std::string detail = "connecting to " + (tcp ? at_.text() : options_.address.socket_path);
  if (why.sys_errno == 0 && !why.detail.empty()) detail += ": " + why.detail;
  return {Errc::opa_unreachable, why.sys_errno, std::move(detail)};
}

std::string_view Connection::doing() const {
  switch (state_) {
    case State::resolving: return "looking up its address";
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
  if (!coming_up()) return false;
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
  lookup_.reset();
  if (stream_) stream_->watch({});
}

void Connection::update_interest() {
  switch (state_) {
    case State::connecting: stream_->watch({.readable = false, .writable = true}); break;
    case State::idle: stream_->watch({.readable = true, .writable = false}); break;
    case State::exchanging:
      stream_->watch({.readable = true, .writable = !unsent_.empty() && !write_failed_});
      break;
    case State::resolving:
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
  if (const Result<void> up = stream_->connect_result(); !up) {
    Error error = unreachable(up.error());
    if (untried_.empty()) return lose(std::move(error));
    stream_->watch({});
    loop_.retire(std::move(stream_));
    if (const Result<void> next = connect_next(); !next) lose(next.error());
    return;
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
  if (read_error != nullptr) {
    error.sys_errno = read_error->sys_errno;
    if (error.sys_errno == 0) error.detail += " (" + read_error->detail + ")";
  }
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
