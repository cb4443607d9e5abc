#include "proxy/record_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace warder::proxy {
namespace {

mode_t mode_of(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 ? status.st_mode : 0;
}

// A pipe is opened a second time, because O_NONBLOCK belongs to the open file description, which
// standard output shares with other processes. Where that is not possible (or not a pipe) poll()
// says when a write of PIPE_BUF bytes won't wait, as long as nobody else fills the pipe meanwhile.
net::UniqueFd reopen_pipe(int fd) {
  if (!S_ISFIFO(mode_of(fd))) return {};
  return net::UniqueFd(
      ::open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
}

// The next piece: as many whole lines as a pipe takes at once (pipe(7), PIPE_BUF), else a part of
// one that is longer.
std::string_view next_piece(std::string_view lines) {
  const std::string_view most = lines.substr(0, PIPE_BUF);
  const std::size_t end = most.rfind('\n');
  return end == std::string_view::npos ? most : most.substr(0, end + 1);
}

}  // namespace

RecordOutput::RecordOutput(int fd, net::UniqueFd reopened, net::UniqueFd wake)
    : reopened_(std::move(reopened)),
      wake_(std::move(wake)),
      fd_(reopened_ ? reopened_.get() : fd),
      is_socket_(S_ISSOCK(mode_of(fd))) {}

Result<std::unique_ptr<RecordOutput>> RecordOutput::make(int fd) {
  net::UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail(from_errno(errno, "eventfd for the records' output"));
  return std::unique_ptr<RecordOutput>(new RecordOutput(fd, reopen_pipe(fd), std::move(wake)));
}

std::size_t RecordOutput::write(std::string_view lines) {
  std::size_t done = 0;
  while (done < lines.size()) {
    if (!wait_writable()) break;
    const std::string_view piece = mid_line_ ? "\n" : next_piece(lines.substr(done));
    const ssize_t count = write_piece(piece);
    if (count < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      break;
    }
    if (mid_line_ && count > 0) {
      mid_line_ = false;
      continue;
    }
    done += static_cast<std::size_t>(count);
  }
  if (done == lines.size() || done == 0) return done;
  const std::size_t line_end = lines.rfind('\n', done - 1);
  const std::size_t whole = line_end == std::string_view::npos ? 0 : line_end + 1;
  // A reader must not take the rest of a cut line for the start of the next one.
  mid_line_ = whole != done;
  return whole;
}

void RecordOutput::stop_at(Clock::time_point deadline) {
  {
    const std::lock_guard lock(mutex_);
    deadline_ = deadline;
  }
  const std::uint64_t one = 1;
  // Fails only when the counter is full, and then the poll wakes anyway.
  [[maybe_unused]] const ssize_t ignored = ::write(wake_.get(), &one, sizeof one);
}

ssize_t RecordOutput::write_piece(std::string_view piece) const {
  if (is_socket_) return ::send(fd_, piece.data(), piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  return ::write(fd_, piece.data(), piece.size());
}

bool RecordOutput::wait_writable() {
  while (true) {
    const auto limit = deadline();
    int timeout = -1;
    if (limit) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*limit - Clock::now()).count();
      if (left <= 0) return false;
      timeout = static_cast<int>(std::min<std::int64_t>(left, INT_MAX));
    }
    // Once the deadline is known the wake-up has done its work: a negative descriptor is ignored.
    std::array<pollfd, 2> polled{{{fd_, POLLOUT, 0}, {limit ? -1 : wake_.get(), POLLIN, 0}}};
    const int ready = ::poll(polled.data(), polled.size(), timeout);
    if (ready < 0 && errno != EINTR) return false;
    // POLLERR (nobody reads any more) is left to write(), which says why.
    if (ready > 0 && polled[0].revents != 0) return true;
  }
}

std::optional<RecordOutput::Clock::time_point> RecordOutput::deadline() const {
  const std::lock_guard lock(mutex_);
  return deadline_;
}

}  // namespace warder::proxy
