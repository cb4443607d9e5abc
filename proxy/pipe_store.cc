#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "net/unique_fd.h"
#include "proxy/pump.h"

namespace warder::proxy {
namespace {

Result<net::Transfer> splice_some(int from, int to, std::size_t most) {
  ssize_t count = 0;
  do {
    count = ::splice(from, nullptr, to, nullptr, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  } while (count < 0 && errno == EINTR);
  if (count > 0) return net::Transfer{static_cast<std::size_t>(count), false, false};
  if (count == 0) return net::Transfer{0, false, true};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return net::Transfer{0, true, false};
  return fail(from_errno(errno, "splice"));
}

class PipeStore final : public PumpStore {
 public:
  PipeStore(net::UniqueFd out, net::UniqueFd in) : out_(std::move(out)), in_(std::move(in)) {}

  [[nodiscard]] std::size_t held() const override { return held_; }

  // The pipe is empty, so that EAGAIN can only come from the socket. Before urgent data it comes
  // for ever, while epoll calls the socket readable (tcp_read_sock in net/ipv4/tcp.c stops there);
  // read(2) gets past.
  [[nodiscard]] Result<net::Transfer> fill(int from, std::size_t most) override {
    auto taken = splice_some(from, in_.get(), most);
    if (taken && taken->would_block && ::sockatmark(from) == 1) {
      return fail(from_errno(EINVAL, "splice of urgent data"));
    }
    if (taken) held_ = taken->bytes;
    return taken;
  }

  [[nodiscard]] Result<net::Transfer> drain(int to) override {
    auto given = splice_some(out_.get(), to, held_);
    if (given) held_ -= given->bytes;
    return given;
  }

  void rest() override {}

 private:
  net::UniqueFd out_;
  net::UniqueFd in_;
  std::size_t held_ = 0;
};

}  // namespace

Result<std::unique_ptr<PumpStore>> make_pipe_store() {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_NONBLOCK | O_CLOEXEC) != 0) return fail(from_errno(errno, "pipe2"));
  return std::make_unique<PipeStore>(net::UniqueFd(ends[0]), net::UniqueFd(ends[1]));
}

}  // namespace warder::proxy
