#include "net/byte_stream.h"

#include <utility>

namespace warder::net {
namespace {

class SocketStream final : public ByteStream, private FdWatcher::Listener {
 public:
  static Result<std::unique_ptr<ByteStream>> create(Loop& loop, Result<UniqueFd> fd,
                                                    ByteStream::Listener& listener) {
    if (!fd) return fail(std::move(fd.error()));
    std::unique_ptr<SocketStream> stream(new SocketStream(std::move(*fd), listener));
    auto watcher = FdWatcher::create(loop, stream->fd_.get(), *stream);
    if (!watcher) return fail(std::move(watcher.error()));
    stream->watcher_ = std::move(*watcher);
    return stream;
  }

  void watch(Readiness interest) override { watcher_->watch(interest); }
  [[nodiscard]] Result<void> connect_result() override {
    if (const int error = so_error(fd_.get()); error != 0) return fail(from_errno(error, ""));
    return {};
  }
  [[nodiscard]] Result<Transfer> read(std::span<char> into) override {
    return read_some(fd_.get(), into);
  }
  [[nodiscard]] Result<Transfer> write(std::span<const char> bytes) override {
    return write_some(fd_.get(), bytes);
  }

 private:
  SocketStream(UniqueFd fd, ByteStream::Listener& listener)
      : fd_(std::move(fd)), listener_(listener) {}

  void on_ready(FdWatcher& /*watcher*/, Readiness readiness) override {
    listener_.on_stream_ready(readiness);
  }

  UniqueFd fd_;
  std::unique_ptr<FdWatcher> watcher_;  // after fd_: gone before the descriptor is closed
  ByteStream::Listener& listener_;
};

}  // namespace

Result<std::unique_ptr<ByteStream>> open_tcp_stream(Loop& loop, const Endpoint& to,
                                                    ByteStream::Listener& listener) {
  auto fd = start_connect(to);
  if (fd) set_nodelay(fd->get());
  return SocketStream::create(loop, std::move(fd), listener);
}

Result<std::unique_ptr<ByteStream>> open_unix_stream(Loop& loop, const std::string& path,
                                                     ByteStream::Listener& listener) {
  return SocketStream::create(loop, start_connect_unix(path), listener);
}

}  // namespace warder::net
