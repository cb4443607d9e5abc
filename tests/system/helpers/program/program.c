#define _GNU_SOURCE
#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int held[MAX_HELD];
int held_count = 0;

static int channel = -1;
static char reply[8192];
static const int kAnswerMilliseconds = 60000;

void answer(const char* format, ...) {
  size_t used = strlen(reply);
  if (used > 0) used += (size_t)snprintf(reply + used, sizeof reply - used, ";");
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(reply + used, sizeof reply - used, format, arguments);
  va_end(arguments);
}

void answer_result(bool good) {
  if (good)
    answer("ok");
  else
    answer("error %s", strerrorname_np(errno));
}

static void say(void) {
  strcat(reply, "\n");
  const size_t length = strlen(reply);
  if (write(STDOUT_FILENO, reply, length) != (ssize_t)length) _exit(1);
  reply[0] = 0;
}

static socklen_t address_of(const char* text, int port, struct sockaddr_storage* out) {
  memset(out, 0, sizeof *out);
  struct sockaddr_in6* six = (struct sockaddr_in6*)out;
  struct sockaddr_in* four = (struct sockaddr_in*)out;
  if (inet_pton(AF_INET6, text, &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons((uint16_t)port);
    return sizeof *six;
  }
  four->sin_family = AF_INET;
  four->sin_port = htons((uint16_t)port);
  return inet_pton(AF_INET, text, &four->sin_addr) == 1 ? sizeof *four : 0;
}

// connect ADDRESS PORT COUNT [SOURCE SOURCE_PORT]: the local ports.
static void connect_all(char** words) {
  struct sockaddr_storage to;
  const socklen_t length = address_of(words[1], atoi(words[2]), &to);
  char ports[4096] = "";
  for (int i = 0; i < atoi(words[3]); ++i) {
    const int fd = socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (words[4]) {
      struct sockaddr_storage from;
      const int one = 1;
      setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
      const socklen_t size = address_of(words[4], atoi(words[5]), &from);
      if (bind(fd, (struct sockaddr*)&from, size) != 0) return answer_result(false);
    }
    if (connect(fd, (struct sockaddr*)&to, length) != 0) return answer_result(false);
    held[held_count++] = fd;
    struct sockaddr_in6 self;
    socklen_t size = sizeof self;
    getsockname(fd, (struct sockaddr*)&self, &size);
    sprintf(ports + strlen(ports), " %d", ntohs(self.sin6_port));
  }
  answer("ok%s", ports);
}

static bool listen_at(const char* address, int port) {
  struct sockaddr_storage at;
  const socklen_t length = address_of(address, port, &at);
  const int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return bind(fd, (struct sockaddr*)&at, length) == 0 && listen(fd, 64) == 0;
}

static void send_heads(const char* host, const char* port) {
  char head[1024];
  const int length = snprintf(head, sizeof head, "CONNECT %s:%s HTTP/1.1\r\nHost: %s:%s\r\n\r\n",
                              host, port, host, port);
  for (int i = 0; i < held_count; ++i)
    if (send(held[i], head, (size_t)length, MSG_NOSIGNAL) != length) return answer_result(false);
  answer("ok");
}

// Byte by byte, to the end of the head: what follows belongs to the tunnel.
static int read_head(int fd) {
  char text[4096];
  size_t size = 0;
  while (size < sizeof text - 1) {
    if (recv(fd, text + size, 1, 0) != 1) return 0;
    text[++size] = 0;
    if (size >= 4 && strcmp(text + size - 4, "\r\n\r\n") == 0) return atoi(text + 9);
  }
  return 0;
}

// The status of each; what opened is tried, so that the origin sees it.
static void statuses(void) {
  char list[4096] = "";
  const struct timeval limit = {kAnswerMilliseconds / 1000, 0};
  for (int i = 0; i < held_count; ++i) {
    setsockopt(held[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    int status = read_head(held[i]);
    char echo[6];
    // After shutdown(2) there is nothing to send.
    if (status == 200 && send(held[i], "secret", 6, MSG_NOSIGNAL) == 6 &&
        (recv(held[i], echo, 6, MSG_WAITALL) != 6 || memcmp(echo, "secret", 6) != 0))
      status = -1;
    close(held[i]);
    sprintf(list + strlen(list), " %d", status);
  }
  held_count = 0;
  answer("ok%s", list);
}

static void close_all(void) {
  for (int i = 0; i < held_count; ++i) close(held[i]);
  held_count = 0;
}

// The child lives no longer than its parent; a program has been executed when this returns.
static void fork_child(const char* program) {
  int started[2];
  if (pipe2(started, O_CLOEXEC) != 0) return answer_result(false);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (program) {
      exec_holding(program, "idle");
      _exit(1);
    }
    close(started[1]);
    for (;;) pause();
  }
  close(started[1]);
  char byte;
  while (read(started[0], &byte, 1) < 0 && errno == EINTR) continue;
  close(started[0]);
  answer("ok %d", child);
}

void exec_holding(const char* program, const char* mode) {
  // What has been done on the line so far; the new program answers.
  setenv("REPLY", reply, 1);
  char* arguments[MAX_HELD + 3] = {(char*)program, (char*)mode};
  static char numbers[MAX_HELD][12];
  for (int i = 0; i < held_count; ++i) {
    fcntl(held[i], F_SETFD, 0);
    sprintf(numbers[i], "%d", held[i]);
    arguments[i + 2] = numbers[i];
  }
  execv(program, arguments);
}

// An abstract name: of the network namespace, so that permissions of directories don't matter.
static socklen_t abstract(const char* name, struct sockaddr_un* at) {
  memset(at, 0, sizeof *at);
  at->sun_family = AF_UNIX;
  strncpy(at->sun_path + 1, name, sizeof at->sun_path - 2);
  return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(at->sun_path + 1));
}

static bool wait_at(const char* name) {
  struct sockaddr_un at;
  const socklen_t length = abstract(name, &at);
  channel = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return bind(channel, (struct sockaddr*)&at, length) == 0;
}

static bool give(const char* name, bool keep) {
  struct sockaddr_un to;
  const socklen_t length = abstract(name, &to);
  const int out = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool sent = connect(out, (struct sockaddr*)&to, length) == 0 && send_held(out);
  close(out);
  if (!keep) close_all();
  return sent;
}

static bool fill(int count) {
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  const int first = open("/dev/null", O_RDONLY | O_CLOEXEC);
  for (int i = 1; i < count; ++i)
    if (fcntl(first, F_DUPFD_CLOEXEC, 0) < 0) return false;
  return first >= 0;
}

static void spin(long microseconds) {
  struct timespec begun, now;
  clock_gettime(CLOCK_MONOTONIC, &begun);
  do {
    clock_gettime(CLOCK_MONOTONIC, &now);
  } while ((now.tv_sec - begun.tv_sec) * 1000000 + (now.tv_nsec - begun.tv_nsec) / 1000 <
           microseconds);
}

static bool leader_is_dead(void) {
  char path[64], text[512] = "";
  sprintf(path, "/proc/self/task/%d/stat", getpid());
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (read(fd, text, sizeof text - 1) < 0) text[0] = 0;
  close(fd);
  const char* end = strrchr(text, ')');
  return end && end[2] == 'Z';
}

static void* go_on(void* apart) {
  if (apart) {
    answer_result(unshare(CLONE_FILES) == 0);
  } else {
    while (!leader_is_dead()) sched_yield();
    answer("ok");
  }
  say();
  serve();
  _exit(0);
}

// Another thread takes the orders from here on: with descriptors of its own, or after the first
// thread has ended.
static void hand_over(bool apart) {
  pthread_t thread;
  pthread_create(&thread, NULL, go_on, apart ? "apart" : NULL);
  pthread_detach(thread);
  if (!apart) pthread_exit(NULL);
  for (;;) pause();
}

static void descriptors(void) {
  char list[4096] = "";
  for (int i = 0; i < held_count; ++i) sprintf(list + strlen(list), " %d", held[i]);
  answer("ok%s", list);
}

static bool shut_down(void) {
  for (int i = 0; i < held_count; ++i)
    if (shutdown(held[i], SHUT_WR) != 0) return false;
  return true;
}

static void obey(char* order) {
  char* words[8] = {0};
  char* rest = NULL;
  int count = 0;
  for (char* word = strtok_r(order, " ", &rest); word && count < 7;
       word = strtok_r(NULL, " ", &rest))
    words[count++] = word;
  const char* what = words[0] ? words[0] : "";
#define IS(name) (strcmp(what, name) == 0)
  if (IS("connect")) return connect_all(words);
  if (IS("listen")) return answer_result(listen_at(words[1], atoi(words[2])));
  if (IS("head")) return send_heads(words[1], words[2]);
  if (IS("statuses")) return statuses();
  if (IS("descriptors")) return descriptors();
  if (IS("pid")) return answer("ok %d", getpid());
  if (IS("quit")) return close_all(), answer("ok"), say(), _exit(0);
  if (IS("spin")) return spin(atol(words[1])), answer("ok");
  if (IS("close")) return close_all(), answer("ok");
  if (IS("shutdown")) return answer_result(shut_down());
  if (IS("fill")) return answer_result(fill(atoi(words[1])));
  if (IS("fork")) return fork_child(words[1]);
  if (IS("wait-at")) return answer_result(wait_at(words[1]));
  if (IS("give")) return answer_result(give(words[1], strcmp(words[2], "keep") == 0));
  if (IS("take")) return answer("ok %d", receive_held(channel));
  if (IS("park")) return answer_result(park(false));
  if (IS("park-copy")) return answer_result(park(true));
  if (IS("unpark")) return answer_result(unpark());
  if (IS("io_uring")) return answer_result(register_with_io_uring(strcmp(words[1], "keep") == 0));
  if (IS("io_uring-back")) return answer_result(install_from_io_uring());
  if (IS("steal")) return answer_result(steal(atoi(words[1]), atoi(words[2])));
  if (IS("set-executable")) return answer_result(set_executable(words[1]));
  if (IS("trace")) return answer_result(trace(atoi(words[1])));
  if (IS("lie-in-poll")) return answer_result(lie_in_poll());
  if (IS("apart") || IS("leave-first-thread")) hand_over(IS("apart"));
  // The new program answers.
  if (IS("exec")) exec_holding(words[1], "serve");
  if (IS("exec-memory")) exec_memory_file(words[1], words[2]);
  answer("error %s: %s", what, strerrorname_np(errno));
#undef IS
}

// Nothing is read ahead: after exec it would be lost.
void serve(void) {
  char line[4096];
  for (;;) {
    size_t size = 0;
    do {
      if (size == sizeof line || read(STDIN_FILENO, line + size, 1) != 1) _exit(0);
    } while (line[size++] != '\n');
    line[size - 1] = 0;
    char* rest = NULL;
    for (char* order = strtok_r(line, ";", &rest); order; order = strtok_r(NULL, ";", &rest))
      obey(order);
    say();
  }
}

int main(int argc, char** argv) {
  for (int i = 2; i < argc; ++i) held[held_count++] = atoi(argv[i]);
  if (argc > 1 && strcmp(argv[1], "idle") == 0)
    for (;;) pause();
  if (argc > 1) {
    strncpy(reply, getenv("REPLY"), sizeof reply - 1);
    answer("ok");
    say();
  }
  serve();
}
