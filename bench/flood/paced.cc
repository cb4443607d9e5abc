#include "paced.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "net/socket.h"

namespace warder::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Most answers that are under way when a moment begins were due within this.
constexpr std::chrono::milliseconds kUnderWay{20};
constexpr int kWait = 20'000;  // milliseconds
constexpr std::size_t kMaxAnswer = 262'144;

Result<void> wait_for(int fd, int events) {
  pollfd entry{fd, static_cast<decltype(pollfd::events)>(events), 0};
  if (::poll(&entry, 1, kWait) != 1) return fail(Errc::timed_out, "no answer");
  return {};
}

Result<net::UniqueFd> connect_to(const net::Endpoint& gate) {
  auto fd = net::start_connect(gate);
  if (!fd) return fd;
  if (auto ready = wait_for(fd->get(), POLLOUT); !ready) return fail(ready.error());
  if (const int code = net::so_error(fd->get()); code != 0)
    return fail(from_errno(code, "connect"));
  net::set_nodelay(fd->get());
  return fd;
}

// The length of the whole answer, once its head is there. Warder's refusals and the origin say how
// long they are.
Result<std::optional<std::size_t>> length_of(std::string_view answer) {
  const std::size_t end = answer.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  for (const char* name : {"\r\nContent-Length: ", "\r\ncontent-length: "}) {
    const std::size_t at = answer.substr(0, end).find(name);
    if (at == std::string_view::npos) continue;
    std::size_t body = 0;
    const char* const digits = answer.data() + at + std::string_view(name).size();
    std::from_chars(digits, answer.data() + end, body);
    return end + 4 + body;
  }
  return fail(Errc::bad_response, "an answer without Content-Length");
}

// One connection after another, or one for all.
class Asker {
 public:
  explicit Asker(const Pace& pace) : pace_(pace) {}

  // The answer's status.
  Result<int> ask(const std::string& authority) {
    if (!fd_) {
      auto fd = connect_to(pace_.gate);
      if (!fd) return fail(fd.error());
      fd_ = std::move(*fd);
    }
    const std::string head =
        pace_.connect
            ? fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n\r\n", authority)
            : fmt::format("GET http://{0}/12 HTTP/1.1\r\nHost: {0}\r\nAccept: */*\r\n\r\n",
                          authority);
    const auto sent = net::write_some(fd_.get(), head);
    if (!sent) return fail(sent.error());
    if (sent->bytes != head.size()) return fail(Errc::bad_response, "a request that didn't fit");
    auto status = read();
    if (pace_.connect) fd_.reset();
    return status;
  }

 private:
  Result<int> read() {
    std::string answer;
    for (;;) {
      if (auto ready = wait_for(fd_.get(), POLLIN); !ready) return fail(ready.error());
      const auto got = net::read_some(fd_.get(), buffer_);
      if (!got) return fail(got.error());
      if (got->end) return fail(Errc::closed_by_peer, "the connection ended before an answer");
      answer.append(buffer_.data(), got->bytes);
      const auto length = length_of(answer);
      if (!length) return fail(length.error());
      if (*length && answer.size() > **length)
        return fail(Errc::bad_response, "bytes after an answer");
      if (*length && answer.size() == **length) break;
      if (answer.size() > kMaxAnswer) return fail(Errc::bad_response, "an answer without an end");
    }
    int status = 0;
    constexpr std::size_t kVersion = 9;  // "HTTP/1.1 "
    std::from_chars(answer.data() + kVersion, answer.data() + kVersion + 3, status);
    return status;
  }

  const Pace& pace_;
  net::UniqueFd fd_;
  std::vector<char> buffer_ = std::vector<char>(16'384);
};

// What the threads share.
struct Run {
  std::atomic<std::uint64_t> next{0};
  std::mutex mutex;  // guards what follows
  Answers answers;
  std::optional<Error> error;
};

void ask_in_turn(const Pace& pace, const std::function<std::string(std::uint64_t)>& authority,
                 Clock::time_point begin, Run& run) {
  // The default of 50 us would be a part of each latency (PR_SET_TIMERSLACK in prctl(2)).
  ::prctl(PR_SET_TIMERSLACK, 1);
  Asker asker(pace);
  for (;;) {
    const std::uint64_t number = run.next.fetch_add(1);
    if (number >= pace.requests) return;
    const auto due = begin + std::chrono::nanoseconds(static_cast<std::int64_t>(
                                 static_cast<double>(number) * 1e9 / pace.per_second));
    std::this_thread::sleep_until(due);
    const auto status = asker.ask(authority(number));
    const auto whole = Clock::now();
    const std::lock_guard lock(run.mutex);
    if (!status) {
      run.error = status.error();
      return;
    }
    ++run.answers.by_status[*status];
    run.answers.each.push_back({due, whole});
  }
}

}  // namespace

Histogram Answers::latency(const std::vector<SlowMoment>& without) const {
  Histogram histogram;
  for (const Answer& answer : each) {
    const bool in_one = std::any_of(without.begin(), without.end(), [&](const SlowMoment& moment) {
      return answer.due < moment.end && answer.due > moment.begin - kUnderWay;
    });
    if (!in_one) histogram.add(answer.whole - answer.due);
  }
  return histogram;
}

Result<Answers> ask_at_pace(const Pace& pace,
                            const std::function<std::string(std::uint64_t)>& authority) {
  Run run;
  const auto begin = Clock::now();
  std::vector<std::thread> threads;
  threads.reserve(pace.at_once);
  for (std::size_t i = 0; i < pace.at_once; ++i)
    threads.emplace_back([&] { ask_in_turn(pace, authority, begin, run); });
  for (std::thread& thread : threads) thread.join();
  if (run.error) return fail(std::move(*run.error));
  return std::move(run.answers);
}

}  // namespace warder::bench
