#pragma once

#include <functional>
#include <memory>
#include <string>

#include "net/byte_stream.h"
#include "net/loop.h"
#include "net/result.h"

namespace warder::tls {

// Whom a client trusts, and what it shows of itself. PEM files; read once.
struct ClientFiles {
  std::string ca_file;    // empty: the system's authorities
  std::string cert_file;  // with its chain; empty: none is shown
  std::string key_file;   // without a pass phrase; empty: it is in cert_file
};

// What all streams to one kind of server share, the sessions that can be taken up again included:
// then neither side shows a certificate once more. TLS 1.2 or newer. Any thread may open streams
// with it.
class ClientContext {
 public:
  // Errors: bad_config; `detail` names the file and what is wrong with it.
  static Result<std::shared_ptr<const ClientContext>> create(const ClientFiles& files);
  ~ClientContext();
  ClientContext(const ClientContext&) = delete;
  ClientContext& operator=(const ClientContext&) = delete;

 private:
  friend class ClientStream;
  struct State;
  explicit ClientContext(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// TLS over a stream that begins to connect. `open` makes that one, for the listener it is given;
// its error is handed on. The certificate must be good for `peer`: a DNS name, or an IP address as
// text (RFC 9525; a common name counts for nothing). connect_result() is known when the handshake
// is over. An end without close_notify is an error of read(): closed_by_peer. `loop` and `listener`
// outlive the stream.
using OpenStream =
    std::function<Result<std::unique_ptr<net::ByteStream>>(net::ByteStream::Listener&)>;
[[nodiscard]] Result<std::unique_ptr<net::ByteStream>> open_client_stream(
    net::Loop& loop, std::shared_ptr<const ClientContext> context, const std::string& peer,
    const OpenStream& open, net::ByteStream::Listener& listener);

}  // namespace warder::tls
