// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
// The helpers it calls are for programs under a licence compatible with the GPL.

// Who has descriptors of the wanted sockets: a pass over the descriptors of a process, or of all.
// Called once for each, and again for the same one where the output had no room: what is kept in
// `state` changes only after everything has been written.

#include "task_id.bpf.h"

enum {
  INET4 = 2,  // AF_INET
  INET6 = 10,
  TCP_PROTOCOL = 6,
  MPTCP_PROTOCOL = 262,
  PF_IO_WORKER = 0x00000010,  // include/linux/sched.h
  PF_USER_WORKER = 0x00004000,
  SIGNAL_UNKILLABLE = 0x00000040,  // include/linux/sched/signal.h
  SOCKFS_MAGIC_NUMBER = 0x534F434B,
};

struct PassState state;

// By arithmetic instead of a branch a step: the verifier would go through every path.
INLINE int is_wanted(__u64 inode) {
  __u32 at = 0, step = state.first_step;
  while (step && step < kMostWanted) {
    __u64 there = state.wanted[(at + step - 1) & (kMostWanted - 1)];
    at += step & (__u32)((__s64)(there - inode) >> 63);
    step >>= 1;
  }
  return state.wanted[at & (kMostWanted - 1)] == inode;
}

struct ThreadWalk {
  __u64 head;
  __u64 next;  // a list_head, as `head`
  __u32 traced;
};

static long look_at_thread(__u32 index, struct ThreadWalk* walk) {
  if (walk->next == walk->head) return 1;
  __u64 thread = walk->next - bpf_core_field_offset(struct task_struct, thread_node);
  walk->traced = READ_HALF(thread, struct task_struct, ptrace);
  if (walk->traced) return 1;
  walk->next = READ_WORD(thread, struct task_struct, thread_node.next);
  return 0;
}

// Any thread of it: the pass skips those that share their leader's table. Too many to look at
// count as traced.
INLINE __u32 is_traced(struct task_struct* task) {
  struct signal_struct* signal = task->signal;
  if (task->ptrace || !signal) return 1;
  if (signal->nr_threads < 2) return 0;
  struct ThreadWalk walk = {};
  __u64 head = (__u64)signal + bpf_core_field_offset(struct signal_struct, thread_head);
  walk.head = head;
  walk.next = READ_WORD(head, struct list_head, next);
  long steps = bpf_loop(kMostThreads, look_at_thread, &walk, 0);
  return walk.traced != 0 || steps >= kMostThreads;
}

// The first process of a PID namespace.
INLINE int is_first(struct task_struct* task) {
  struct signal_struct* signal = task->signal;
  return signal && (signal->flags & SIGNAL_UNKILLABLE);
}

// A child gets its parent's count of execve(2) at fork(2), as its own and as its parent's
// (kernel/fork.c, copy_process), and each execve(2) adds one to its own. So while the parent's
// count is the one it had then, and the child's at most one more, the child was forked by the
// program that the parent still runs, and executed at most what it runs now: after the end of a
// parent in between, or clone(2) with CLONE_PARENT by one, a count would be higher, or it ran
// nothing but one of the two programs.
INLINE int is_direct(struct task_struct* leader, struct task_struct* parent) {
  __u64 then = leader->parent_exec_id;
  return then == parent->self_exec_id && leader->self_exec_id - then <= 1;
}

// `complete`: the list leaves out nobody up to the first process of the task's PID namespace. It
// ends at the edge of Warder's.
INLINE int write_ancestors(struct seq_file* seq, struct task_struct* task, __u32* complete) {
  struct task_struct* leader = task->group_leader;
  int direct = 1;
  *complete = is_first(task);
  for (int count = 0; count < kMostAncestors; ++count) {
    struct task_struct* parent = leader ? leader->real_parent : 0;
    if (!parent || parent->tgid == 0) return 0;  // the idle task is the parent of the first one
    struct AncestorRecord record = {};
    record.head.kind = kAncestorKind;
    record.head.size = sizeof record;
    read_task(parent, &state.numbers, &record.task);
    if (record.task.pid == 0) return 0;
    if (bpf_seq_write(seq, &record, sizeof record)) return 1;
    direct &= is_direct(leader, parent);
    if (direct && is_first(parent)) *complete = 1;
    leader = parent->group_leader;
  }
  return 0;
}

INLINE int write_task(struct seq_file* seq, struct task_struct* task, const struct TaskId* id) {
  struct TaskRecord record = {};
  record.head.kind = kTaskKind;
  record.head.size = sizeof record;
  record.task = *id;
  const struct cred* cred = task->real_cred;
  if (cred) {
    record.uid = cred->euid.val;
    record.gid = cred->egid.val;
    struct user_namespace* space = cred->user_ns;
    if (space) record.user_namespace = space->ns.inum;
  }
  record.traced = is_traced(task);
  if (write_ancestors(seq, task, &record.ancestors_complete)) return 1;
  return bpf_seq_write(seq, &record, sizeof record) != 0;
}

// Without the one that the pass itself has while it looks.
INLINE __u64 references_of(struct file* file) {
  struct file___from_6_13* newer = (void*)file;
  if (bpf_core_field_exists(newer->f_ref)) return newer->f_ref.refcnt.counter;
  return file->f_count.counter - 1;
}

// A walk through a socket's wait queue, for the calls that hold a reference while they wait.
// Nothing is locked: what is on the stack of a task that has gone on is taken for nothing, by
// `broken` and by comparing two walks.
struct WaiterWalk {
  __u64 head;  // list_head in the queue
  __u64 next, previous;
  __u64 file, table;
  __u32 shared;  // whether read(2) takes a reference, as it does where threads share a table
  __u32 count;
  __u64 sum;  // of which waiters, and how often each has been off the processor
  __u32 broken;
  __u32 running;
};

// The task that waits with `entry`, if its call holds a reference to the file; else 0.
INLINE __u64 waiting_task(const struct WaiterWalk* walk, __u64 entry) {
  __u64 owner = READ_WORD(entry, struct wait_queue_entry, private);
  __u64 polled = entry - bpf_core_field_offset(struct poll_table_entry, wait);
  __u64 queue = walk->head - bpf_core_field_offset(struct wait_queue_head, head);
  __u64 task = owner, on_stack = entry;
  if (READ_WORD(polled, struct poll_table_entry, filp) == walk->file &&
      READ_WORD(polled, struct poll_table_entry, wait_address) == queue) {
    task = READ_WORD(owner, struct poll_wqueues, polling_task);
    on_stack = owner;
  } else if (!walk->shared) {
    return 0;
  }
  if (!task || READ_WORD(task, struct task_struct, files) != walk->table) return 0;
  // Else `task` may be anything: epoll's and io_uring's entries are no task's.
  if (on_stack - READ_WORD(task, struct task_struct, stack) >= state.stack_bytes) return 0;
  // A worker of io_uring reads through a reference that the request has.
  if (READ_HALF(task, struct task_struct, flags) & (PF_IO_WORKER | PF_USER_WORKER)) return 0;
  return task;
}

static long look_at_waiter(__u32 index, struct WaiterWalk* walk) {
  if (walk->next == walk->head) return 1;
  __u64 link = walk->next;
  if (READ_WORD(link, struct list_head, prev) != walk->previous) {
    walk->broken = 1;
    return 1;
  }
  __u64 entry = link - bpf_core_field_offset(struct wait_queue_entry, entry);
  __u64 task = waiting_task(walk, entry);
  if (task) {
    if (READ_HALF(task, struct task_struct, on_cpu)) walk->running = 1;
    walk->sum += entry * (walk->count + 1) + READ_WORD(task, struct task_struct, nvcsw) +
                 READ_WORD(task, struct task_struct, nivcsw);
    ++walk->count;
  }
  walk->previous = link;
  walk->next = READ_WORD(link, struct list_head, next);
  return 0;
}

INLINE void walk_waiters(struct WaiterWalk* walk, __u64 head) {
  walk->head = head;
  walk->previous = head;
  walk->next = READ_WORD(head, struct list_head, next);
  long steps = bpf_loop(kMostWaiters, look_at_waiter, walk, 0);
  state.waiter_budget -= steps;
}

// A waiter that was off its processor both times, and not on it in between, waited all the while:
// so the references were read while all that were counted waited.
INLINE void read_references(struct file* file, struct task_struct* task,
                            struct HeldRecord* record) {
  struct socket* socket = bpf_sock_from_file(file);
  struct files_struct* table = task->files;
  record->steady = 1;
  record->uncounted = state.waiter_budget < 2 * kMostWaiters;
  if (!socket || !table || record->uncounted) {
    record->references = references_of(file);
    return;
  }
  __u64 head = (__u64)socket + bpf_core_field_offset(struct socket, wq.wait.head);
  struct WaiterWalk first = {};
  first.file = (__u64)file;
  first.table = (__u64)table;
  first.shared = table->count.counter > 1;
  struct WaiterWalk second = first;
  walk_waiters(&first, head);
  record->references = references_of(file);
  walk_waiters(&second, head);
  record->waiting = first.count;
  record->steady = !(first.broken || first.running || second.broken || second.running ||
                     first.count != second.count || first.sum != second.sum);
}

INLINE int write_held(struct bpf_iter__task_file* ctx, struct task_struct* task, struct file* file,
                      __u64 inode) {
  struct HeldRecord record = {};
  record.head.kind = kHeldKind;
  record.head.size = sizeof record;
  record.inode = inode;
  record.table = (__u64)task->files;
  record.descriptor = ctx->fd;
  record.thread = number_of(task->thread_pid, &state.numbers);
  read_references(file, task, &record);
  return bpf_seq_write(ctx->meta->seq, &record, sizeof record) != 0;
}

INLINE int is_same(const struct TaskId* a, const struct TaskId* b) {
  return a->start_ns == b->start_ns && a->executions == b->executions && a->inode == b->inode &&
         a->device == b->device && a->generation == b->generation;
}

INLINE void tell_held(struct bpf_iter__task_file* ctx, struct task_struct* task, struct file* file,
                      __u64 inode) {
  struct TaskId id = {};
  read_task(task, &state.numbers, &id);
  __u32 number = task->tgid;
  if (number != state.last_number || !is_same(&id, &state.last)) {
    if (write_task(ctx->meta->seq, task, &id)) return;
  }
  if (write_held(ctx, task, file, inode)) return;
  state.last = id;
  state.last_number = number;
}

INLINE void read_ends(struct sock* sk, struct OtherRecord* record) {
  record->local_port = sk->__sk_common.skc_num;
  record->remote_port = sk->__sk_common.skc_dport;
  if (record->family == INET4) {
    *(__u32*)record->local = sk->__sk_common.skc_rcv_saddr;
    *(__u32*)record->remote = sk->__sk_common.skc_daddr;
  } else if (bpf_core_field_exists(sk->__sk_common.skc_v6_daddr)) {
    for (int word = 0; word < 4; ++word) {
      ((__u32*)record->local)[word] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[word];
      ((__u32*)record->remote)[word] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[word];
    }
  }
}

INLINE void tell_other(struct bpf_iter__task_file* ctx, struct file* file, __u64 inode) {
  struct socket* socket = bpf_sock_from_file(file);
  if (!socket) return;
  struct sock* sk = socket->sk;
  if (!sk) return;
  struct OtherRecord record = {};
  record.family = sk->__sk_common.skc_family;
  if (record.family != INET4 && record.family != INET6) return;
  __u32 protocol = sk->sk_protocol;
  if (protocol != TCP_PROTOCOL && protocol != MPTCP_PROTOCOL) return;
  if (state.others_told >= kMostOthers) {
    state.others_left_out = 1;
    return;
  }
  record.head.kind = kOtherKind;
  record.head.size = sizeof record;
  record.inode = inode;
  record.cookie = sk->__sk_common.skc_cookie.counter;
  record.state = sk->__sk_common.skc_state;
  read_ends(sk, &record);
  if (bpf_seq_write(ctx->meta->seq, &record, sizeof record)) return;
  ++state.others_told;
}

SEC("iter/task_file")
int on_descriptor(struct bpf_iter__task_file* ctx) {
  struct task_struct* task = ctx->task;
  struct file* file = ctx->file;
  if (!task || !file) {
    // task_file_seq_stop calls once more at the end, and only there (kernel/bpf/task_iter.c).
    state.ended = 1;
    return 0;
  }
  if (state.limited) {
    // bpf_seq_read ends the read(2) with EAGAIN.
    if (state.descriptors_left == 0) return 1;
    --state.descriptors_left;
  }
  struct inode* inode = file->f_inode;
  if (!inode) return 0;
  __u64 number = inode->i_ino;
  int wanted = is_wanted(number);
  if (!wanted && !state.others) return 0;
  struct super_block* super = inode->i_sb;
  if (!super || super->s_magic != SOCKFS_MAGIC_NUMBER) return 0;
  if (wanted)
    tell_held(ctx, task, file, number);
  else
    tell_other(ctx, file, number);
  return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
