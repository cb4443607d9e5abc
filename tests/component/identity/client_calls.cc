#include "tests/component/identity/client_calls.h"

#include <linux/io_uring.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstring>
#include <thread>

bool park_copy(int fd) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
  char byte = 0;
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return ::sendmsg(ends[0], &message, 0) == 1;
}

namespace {

void wait_in_select(const std::string& call, int fd) {
  fd_set read_set, write_set, error_set;
  FD_ZERO(&read_set);
  FD_ZERO(&write_set);
  FD_ZERO(&error_set);
  FD_SET(fd, &read_set);
  FD_SET(fd, &error_set);
  if (call == "select")
    (void)::select(fd + 1, &read_set, &write_set, &error_set, nullptr);
  else
    (void)::pselect(fd + 1, &read_set, &write_set, &error_set, nullptr, nullptr);
}

}  // namespace

void wait_in(const std::string& call, int fd) {
  for (;;) {
    std::array<char, 4096> bytes{};
    pollfd set{fd, POLLIN, 0};
    if (call == "poll") (void)::poll(&set, 1, -1);
    if (call == "ppoll") (void)::ppoll(&set, 1, nullptr, nullptr);
    if (call == "select" || call == "pselect") wait_in_select(call, fd);
    if (call == "recv") (void)::recv(fd, bytes.data(), 1, 0);
    if (call == "send") (void)::send(fd, bytes.data(), bytes.size(), 0);
  }
}

bool wait_aside(const std::string& call, int fd) {
  std::thread([call, fd] { wait_in(call, fd); }).detach();
  return true;
}

bool pretend_to_poll(int fd) {
  static pollfd set{};
  static std::atomic<pid_t> poller{0};
  int ends[2];
  if (::pipe(ends) != 0) return false;
  set = {ends[0], POLLIN, 0};
  std::thread([] {
    poller = static_cast<pid_t>(::syscall(SYS_gettid));
    for (;;) (void)::ppoll(&set, 1, nullptr, nullptr);
  }).detach();
  while (poller == 0) ::sched_yield();
  const std::string path = "/proc/self/task/" + std::to_string(poller) + "/syscall";
  const std::string wanted = std::to_string(SYS_ppoll) + " ";
  for (std::string text; !text.starts_with(wanted); ::sched_yield()) {
    std::array<char, 64> buffer{};
    FILE* const file = std::fopen(path.c_str(), "r");
    if (file == nullptr) return false;
    text.assign(buffer.data(), std::fread(buffer.data(), 1, buffer.size(), file));
    (void)std::fclose(file);
  }
  set.fd = fd;
  return true;
}

namespace {

int ring_with(int fd, io_uring_params& params) {
  const int ring = static_cast<int>(::syscall(SYS_io_uring_setup, 4, &params));
  if (ring < 0) return -1;
  if (::syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, &fd, 1) < 0) return -1;
  return ring;
}

}  // namespace

bool register_with_uring(int fd) {
  io_uring_params params{};
  return ring_with(fd, params) >= 0;
}

bool read_by_uring(int fd) {
  int pipe[2];
  if (::pipe(pipe) != 0) return false;
  io_uring_params params{};
  const int ring = ring_with(fd, params);
  if (ring < 0) return false;
  const std::size_t size = params.sq_off.array + params.sq_entries * sizeof(std::uint32_t);
  void* const queue = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring,
                             IORING_OFF_SQ_RING);
  void* const entries =
      ::mmap(nullptr, params.sq_entries * sizeof(io_uring_sqe), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
  if (queue == MAP_FAILED || entries == MAP_FAILED) return false;
  auto* const entry = static_cast<io_uring_sqe*>(entries);
  std::memset(entry, 0, sizeof *entry);
  // Not a read: for that the worker would arm a poll and not wait itself.
  entry->opcode = IORING_OP_SPLICE;
  entry->splice_fd_in = 0;  // the first of the fixed files
  entry->splice_flags = SPLICE_F_FD_IN_FIXED;
  entry->splice_off_in = entry->off = ~std::uint64_t{0};
  entry->fd = pipe[1];
  entry->len = 1;
  auto* const base = static_cast<char*>(queue);
  const std::uint32_t first = 0, next = 1;
  std::memcpy(base + params.sq_off.array, &first, sizeof first);
  __atomic_store_n(reinterpret_cast<std::uint32_t*>(base + params.sq_off.tail), next,
                   __ATOMIC_RELEASE);
  return ::syscall(SYS_io_uring_enter, ring, 1, 0, 0, nullptr, 0) == 1;
}

bool share_table() {
  static std::array<char, 65536> stack;
  const auto idle = [](void*) -> int {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  };
  return ::clone(idle, stack.data() + stack.size(), CLONE_FILES | SIGCHLD, nullptr) > 0;
}

int take_from(int pid, int fd) {
  const int process = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (process < 0) return -1;
  const int copy = static_cast<int>(::syscall(SYS_pidfd_getfd, process, fd, 0));
  ::close(process);
  return copy;
}
