#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "program.h"

static int parked = -1;  // the end at which the parked descriptors wait

bool send_held(int channel) {
  char byte = 0;
  struct iovec data = {&byte, 1};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * 64)];
  } control = {0};
  const size_t size = sizeof(int) * (size_t)held_count;
  struct msghdr message = {.msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = &control,
                           .msg_controllen = CMSG_SPACE(size)};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(header), held, size);
  return sendmsg(channel, &message, 0) == 1;
}

int receive_held(int channel) {
  char byte;
  struct iovec data = {&byte, 1};
  union {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * 64)];
  } control = {0};
  struct msghdr message = {
      .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  if (recvmsg(channel, &message, 0) != 1) return 0;
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (!header) return 0;
  const int count = (int)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  memcpy(held + held_count, CMSG_DATA(header), sizeof(int) * (size_t)count);
  held_count += count;
  return count;
}

bool park(bool keep) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0 || !send_held(ends[0]))
    return false;
  parked = ends[1];
  if (keep) return true;
  for (int i = 0; i < held_count; ++i) close(held[i]);
  held_count = 0;
  return true;
}

bool unpark(void) { return receive_held(parked) > 0; }

static int ring = -1;
static struct io_uring_params ring_is;
static int registered = 0;

bool register_with_io_uring(bool keep) {
  ring = (int)syscall(SYS_io_uring_setup, 64, &ring_is);
  if (ring < 0 || syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, held, held_count) < 0)
    return false;
  registered = held_count;
  if (keep) return true;
  for (int i = 0; i < held_count; ++i) close(held[i]);
  held_count = 0;
  return true;
}

// IORING_OP_FIXED_FD_INSTALL (Linux 6.8): a registered file gets a descriptor again.
bool install_from_io_uring(void) {
  enum { FIXED_FD_INSTALL = 54 };
  const size_t size = ring_is.sq_off.array + ring_is.sq_entries * sizeof(uint32_t);
  const size_t done_size = ring_is.cq_off.cqes + ring_is.cq_entries * sizeof(struct io_uring_cqe);
  char* sq = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
  char* cq = mmap(NULL, done_size, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
  struct io_uring_sqe* entries = mmap(NULL, ring_is.sq_entries * sizeof *entries,
                                      PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
  if (sq == MAP_FAILED || cq == MAP_FAILED || entries == MAP_FAILED) return false;
  uint32_t* tail = (uint32_t*)(sq + ring_is.sq_off.tail);
  for (int i = 0; i < registered; ++i) {
    memset(&entries[i], 0, sizeof entries[i]);
    entries[i].opcode = FIXED_FD_INSTALL;
    entries[i].flags = IOSQE_FIXED_FILE;
    entries[i].fd = i;
    ((uint32_t*)(sq + ring_is.sq_off.array))[i] = (uint32_t)i;
  }
  __atomic_store_n(tail, *tail + (uint32_t)registered, __ATOMIC_RELEASE);
  if (syscall(SYS_io_uring_enter, ring, registered, registered, IORING_ENTER_GETEVENTS, NULL, 0) <
      0)
    return false;
  const struct io_uring_cqe* done = (const struct io_uring_cqe*)(cq + ring_is.cq_off.cqes);
  for (int i = 0; i < registered; ++i) {
    if (done[i].res < 0) {
      errno = -done[i].res;
      return false;
    }
    held[held_count++] = done[i].res;
  }
  return true;
}

bool steal(pid_t from, int descriptor) {
  const int process = (int)syscall(SYS_pidfd_open, from, 0);
  if (process < 0) return false;
  const int copy = (int)syscall(SYS_pidfd_getfd, process, descriptor, 0);
  close(process);
  if (copy < 0) return false;
  held[held_count++] = copy;
  return true;
}

// prctl(2) takes another executable only when nothing of the old one is mapped: every page of it is
// replaced by a copy of itself.
static bool unmap_own_executable(void) {
  char own[4096], line[4352];
  const ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
  if (length < 0) return false;
  own[length] = 0;
  FILE* maps = fopen("/proc/self/maps", "re");
  struct {
    char *from, *to;
    int protection;
  } parts[32];
  int count = 0;
  while (count < 32 && fgets(line, sizeof line, maps)) {
    unsigned long from, to;
    char mode[5];
    if (!strstr(line, own) || sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3) continue;
    parts[count].from = (char*)from;
    parts[count].to = (char*)to;
    parts[count++].protection = (mode[0] == 'r' ? PROT_READ : 0) |
                                (mode[1] == 'w' ? PROT_WRITE : 0) |
                                (mode[2] == 'x' ? PROT_EXEC : 0);
  }
  fclose(maps);
  for (int i = 0; i < count; ++i) {
    const size_t size = (size_t)(parts[i].to - parts[i].from);
    char* copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy == MAP_FAILED) return false;
    memcpy(copy, parts[i].from, size);
    if (mprotect(copy, size, parts[i].protection) != 0 ||
        mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, parts[i].from) == MAP_FAILED)
      return false;
  }
  return count > 0;
}

// A field of /proc/<pid>/stat as proc(5) numbers them.
static unsigned long long field_of(char* stat, int field) {
  char* at = strrchr(stat, ')') + 2;
  for (int i = 3; i < field; ++i) at = strchr(at, ' ') + 1;
  return strtoull(at, NULL, 10);
}

bool set_executable(const char* path) {
  if (!unmap_own_executable()) return false;
  char stat[2048] = "";
  const int fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
  if (read(fd, stat, sizeof stat - 1) <= 0) return false;
  close(fd);
  struct prctl_mm_map map = {
      .start_code = field_of(stat, 26),
      .end_code = field_of(stat, 27),
      .start_stack = field_of(stat, 28),
      .start_data = field_of(stat, 45),
      .end_data = field_of(stat, 46),
      .start_brk = field_of(stat, 47),
      .brk = (unsigned long)sbrk(0),
      .arg_start = field_of(stat, 48),
      .arg_end = field_of(stat, 49),
      .env_start = field_of(stat, 50),
      .env_end = field_of(stat, 51),
      .auxv = NULL,
      .auxv_size = 0,
  };
  map.exe_fd = (uint32_t)open(path, O_RDONLY | O_CLOEXEC);
  return prctl(PR_SET_MM, PR_SET_MM_MAP, &map, sizeof map, 0) == 0;
}

void exec_memory_file(const char* program, const char* name) {
  const int from = open(program, O_RDONLY | O_CLOEXEC);
  const int to = memfd_create(name, 0);
  char buffer[65536];
  ssize_t size;
  while ((size = read(from, buffer, sizeof buffer)) > 0)
    if (write(to, buffer, (size_t)size) != size) return;
  close(from);
  char path[64];
  sprintf(path, "/proc/self/fd/%d", to);
  exec_holding(path, "serve");
}

bool trace(pid_t pid) { return ptrace(PTRACE_SEIZE, pid, NULL, NULL) == 0; }

static struct pollfd polled[MAX_HELD];
static atomic_int poller;

static void* sit_in_poll(void* unused) {
  (void)unused;
  poller = (int)syscall(SYS_gettid);
  poll(polled, (nfds_t)held_count, -1);
  return NULL;
}

static bool sits_in_poll(pid_t thread) {
  char path[64], text[64] = "";
  sprintf(path, "/proc/self/task/%d/syscall", thread);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  if (read(fd, text, sizeof text - 1) < 0) text[0] = 0;
  close(fd);
  return atoi(text) == SYS_poll && strncmp(text, "running", 7) != 0;
}

// A thread waits on a pipe; what it says it waits on is the socket.
bool lie_in_poll(void) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return false;
  for (int i = 0; i < held_count; ++i) polled[i] = (struct pollfd){.fd = ends[0], .events = POLLIN};
  pthread_t thread;
  if (pthread_create(&thread, NULL, sit_in_poll, NULL) != 0) return false;
  while (poller == 0 || !sits_in_poll(poller)) sched_yield();
  for (int i = 0; i < held_count; ++i) polled[i].fd = held[i];
  return true;
}
