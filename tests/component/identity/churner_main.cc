// usage: identity_churner WORKER PORT LOG_FD MAIL_FD...: one process of the churner. It connects to
// 127.0.0.1:PORT, and then passes sockets on to its likes and takes theirs, as fast as it can, and
// writes down each change (churn_log.h). A socket's own descriptor goes from one to the next;
// copies of it are lent and closed by who got them.

#include <arpa/inet.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "tests/component/identity/churn_log.h"

namespace {

using warder::testing::churn::Event;
using warder::testing::churn::kEvents;
using warder::testing::churn::kOnTheWay;
using warder::testing::churn::kWorkers;
using warder::testing::churn::Log;
using warder::testing::churn::now;
using warder::testing::churn::Page;

// Most is done with the first sockets of each worker, so that some change hands all the time.
constexpr std::uint32_t kHot = 2;

constexpr useconds_t kPause = 5;  // the kernel adds some fifty microseconds of its own

struct Held {
  std::uint32_t socket = 0;
  bool lent = false;
  int fd = -1;
};

struct Message {
  std::uint32_t socket = 0;
  std::uint32_t lent = 0;
};

class Worker {
 public:
  Worker(int self, Log& log, std::vector<int> mail)
      : self_(self),
        log_(log),
        page_(log.pages[self]),
        mail_(std::move(mail)),
        random_(static_cast<unsigned>(self) + 1) {}

  void connect_all(std::uint16_t port) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (std::uint32_t i = 0; i < log_.sockets; ++i) {
      const std::uint32_t socket = static_cast<std::uint32_t>(self_) * log_.sockets + i;
      const std::int64_t begin = now();
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) std::abort();
      write_down(socket, self_, 1, begin);
      if (::write(fd, &socket, sizeof socket) != sizeof socket) std::abort();
      held_.push_back({socket, false, fd});
    }
  }

  void churn() {
    while (!log_.stop) {
      while (has_room() && take()) continue;
      if (!has_room())
        log_.stop = true;
      else if (!held_.empty())
        act(choose());
      ::usleep(kPause);
    }
  }

 private:
  [[nodiscard]] bool has_room() const { return page_.used + 8 < kEvents; }

  void write_down(std::uint32_t socket, int who, int change, std::int64_t begin) {
    const std::size_t at = page_.used;
    page_.events[at] = {begin, now(), socket, static_cast<std::int16_t>(who),
                        static_cast<std::int16_t>(change)};
    page_.used = at + 1;
  }

  std::size_t choose() {
    // Some tries to come across one that changes often.
    std::size_t index = 0;
    for (int i = 0; i < 16; ++i) {
      index = random_() % held_.size();
      if (held_[index].socket % log_.sockets < kHot) break;
    }
    return index;
  }

  void act(std::size_t index) {
    Held& chosen = held_[index];
    const bool keep = random_() % 2 == 0;
    if (chosen.lent || (send(chosen, keep) && !keep)) let_go(index);
  }

  void let_go(std::size_t index) {
    const Held gone = held_[index];
    held_[index] = held_.back();
    held_.pop_back();
    const std::int64_t begin = now();
    ::close(gone.fd);
    write_down(gone.socket, self_, -1, begin);
  }

  // False when nobody has room for it.
  bool send(const Held& what, bool lend) {
    const int to = static_cast<int>(
        (static_cast<unsigned>(self_) + 1 + random_() % (kWorkers - 1)) % kWorkers);
    Message message{what.socket, lend ? 1U : 0U};
    iovec data{&message, sizeof message};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &what.fd, sizeof what.fd);
    const std::int64_t begin = now();
    if (::sendmsg(mail_[2 * static_cast<std::size_t>(to) + 1], &header, MSG_DONTWAIT) < 0)
      return false;
    write_down(what.socket, kOnTheWay, 1, begin);
    return true;
  }

  bool take() {
    Message message{};
    iovec data{&message, sizeof message};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr header{};
    header.msg_iov = &data;
    header.msg_iovlen = 1;
    header.msg_control = control;
    header.msg_controllen = sizeof control;
    const std::int64_t begin = now();
    if (::recvmsg(mail_[2 * static_cast<std::size_t>(self_)], &header,
                  MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
      return false;
    const cmsghdr* const rights = CMSG_FIRSTHDR(&header);
    if (rights == nullptr) std::abort();
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    write_down(message.socket, self_, 1, begin);
    write_down(message.socket, kOnTheWay, -1, begin);
    held_.push_back({message.socket, message.lent != 0, fd});
    return true;
  }

  int self_;
  Log& log_;
  Page& page_;
  std::vector<int> mail_;  // of each worker the end it reads and the end the others write to
  std::minstd_rand random_;
  std::vector<Held> held_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4 + 2 * kWorkers) return 2;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  void* const memory =
      ::mmap(nullptr, sizeof(Log), PROT_READ | PROT_WRITE, MAP_SHARED, std::atoi(argv[3]), 0);
  if (memory == MAP_FAILED) return 1;
  Log& log = *static_cast<Log*>(memory);
  std::vector<int> mail;
  for (int i = 4; i < argc; ++i) mail.push_back(std::atoi(argv[i]));
  Worker worker(std::atoi(argv[1]), log, mail);
  worker.connect_all(static_cast<std::uint16_t>(std::atoi(argv[2])));
  while (!log.go) ::poll(nullptr, 0, 1);
  worker.churn();
  log.stopped += 1;
  for (;;) ::pause();
}
