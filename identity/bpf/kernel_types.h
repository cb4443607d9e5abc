#pragma once

#include <linux/types.h>

// The parts of the kernel's structures that the programs read. Offsets are put right when a program
// is loaded (CO-RE), from the running kernel's BTF: only names count here, and a structure needs no
// more members than are read. `___` and what follows is not part of a name.

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
  int counter;
} atomic_t;

typedef struct {
  __s64 counter;
} atomic64_t;

struct list_head {
  struct list_head *next, *prev;
};

struct ns_common {
  unsigned int inum;
};

struct pid_namespace {
  struct ns_common ns;
};

struct user_namespace {
  struct ns_common ns;
};

struct upid {
  int nr;
  struct pid_namespace* ns;
};

struct pid {
  unsigned int level;
  struct upid numbers[1];
};

struct super_block {
  __u32 s_dev;
  unsigned long s_magic;
};

struct inode {
  struct super_block* i_sb;
  unsigned long i_ino;
  __u32 i_generation;
};

struct file {
  struct inode* f_inode;
  atomic64_t f_count;  // references; before 6.13
};

struct file___from_6_13 {
  struct {
    struct {
      __s64 counter;  // references less one
    } refcnt;
  } f_ref;
};

struct mm_struct {
  struct file* exe_file;
};

typedef struct {
  __u32 val;
} kuid_t;

typedef struct {
  __u32 val;
} kgid_t;

struct cred {
  kuid_t euid;
  kgid_t egid;
  struct user_namespace* user_ns;
};

struct signal_struct {
  unsigned int flags;
  int nr_threads;
  struct list_head thread_head;
};

struct files_struct {
  atomic_t count;
};

struct task_struct {
  void* stack;
  unsigned int flags;
  unsigned int ptrace;
  int on_cpu;
  struct mm_struct* mm;
  int tgid;
  struct task_struct* real_parent;
  struct task_struct* group_leader;
  struct pid* thread_pid;
  struct list_head thread_node;
  unsigned long nvcsw, nivcsw;
  __u64 start_boottime;
  const struct cred* real_cred;
  const struct cred* cred;
  struct files_struct* files;
  struct signal_struct* signal;
  __u64 parent_exec_id;
  __u64 self_exec_id;
};

struct in6_addr {
  union {
    __u8 u6_addr8[16];
    __u32 u6_addr32[4];
  } in6_u;
};

struct sock_common {
  __u32 skc_daddr;
  __u32 skc_rcv_saddr;
  __u16 skc_dport;
  __u16 skc_num;
  unsigned short skc_family;
  volatile unsigned char skc_state;
  struct in6_addr skc_v6_daddr;
  struct in6_addr skc_v6_rcv_saddr;
  atomic64_t skc_cookie;
};

struct sock {
  struct sock_common __sk_common;
  __u16 sk_protocol;
};

struct wait_queue_head {
  struct list_head head;
};

struct wait_queue_entry {
  void* private;
  struct list_head entry;
};

struct socket_wq {
  struct wait_queue_head wait;
};

struct socket {
  struct sock* sk;
  struct socket_wq wq;
};

// fs/select.c: what poll(2) and select(2) leave in a wait queue.
struct poll_table_entry {
  struct file* filp;
  struct wait_queue_entry wait;
  struct wait_queue_head* wait_address;
};

struct poll_wqueues {
  struct task_struct* polling_task;
};

struct seq_file;

struct bpf_iter_meta {
  struct seq_file* seq;
  __u64 session_id;
  __u64 seq_num;
};

struct bpf_iter__task_file {
  struct bpf_iter_meta* meta;
  struct task_struct* task;
  __u32 fd;
  struct file* file;
};

#pragma clang attribute pop
