#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "net/loop.h"
#include "net/socket.h"
#include "net/watcher.h"

namespace warder::net {

// A connection that carries bytes, whatever is under it (TCP, unix socket, TLS over one of them).
class ByteStream {
 public:
  class Listener {
   public:
    // Runs on a stack of its own. The stream may be destroyed only through Loop::retire of its
    // owner.
    virtual void on_stream_ready(Readiness readiness) = 0;

   protected:
    ~Listener() = default;
  };

  virtual ~ByteStream() = default;
  // What the listener is told about. Until connected, `writable` means: connect_result() is known.
  virtual void watch(Readiness interest) = 0;
  // Once writable: why connecting failed, if it did; `sys_errno` where a system call knows.
  [[nodiscard]] virtual Result<void> connect_result() = 0;
  [[nodiscard]] virtual Result<Transfer> read(std::span<char> into) = 0;
  [[nodiscard]] virtual Result<Transfer> write(std::span<const char> bytes) = 0;
};

// Starts connecting. `loop` and `listener` outlive the stream. Errors: those of start_connect.
[[nodiscard]] Result<std::unique_ptr<ByteStream>> open_tcp_stream(Loop& loop, const Endpoint& to,
                                                                  ByteStream::Listener& listener);
[[nodiscard]] Result<std::unique_ptr<ByteStream>> open_unix_stream(Loop& loop,
                                                                   const std::string& path,
                                                                   ByteStream::Listener& listener);

}  // namespace warder::net
