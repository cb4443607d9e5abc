#pragma once

#include <linux/bpf.h>
// After it: it needs the types.
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "kernel_types.h"
#include "records.h"

#define INLINE static __always_inline
// The compiler may not take what was read before for what is there now.
#define READ_AGAIN() __asm__ volatile("" ::: "memory")

// Reading by address what the verifier knows no type of: 0 where there is no such memory.
INLINE __u64 read_word(__u64 address) {
  __u64 value = 0;
  bpf_probe_read_kernel(&value, sizeof value, (const void*)address);
  return value;
}
INLINE __u32 read_half(__u64 address) {
  __u32 value = 0;
  bpf_probe_read_kernel(&value, sizeof value, (const void*)address);
  return value;
}
#define READ_WORD(address, type, field) read_word((address) + bpf_core_field_offset(type, field))
#define READ_HALF(address, type, field) read_half((address) + bpf_core_field_offset(type, field))

// The number of `pid` in Warder's PID namespace, or 0.
INLINE __u32 number_of(struct pid* pid, const struct NumberSpace* space) {
  if (!pid) return 0;  // it has been reaped
  __u32 level = space->level & 63;
  if (level > pid->level) return 0;
  // By a constant, which makes it a shift: Linux 6.1 wants to see that it is bounded.
  __u64 at =
      (__u64)pid + bpf_core_field_offset(struct pid, numbers) + (__u64)level * sizeof(struct upid);
  __u64 namespace = READ_WORD(at, struct upid, ns);
  if (READ_HALF(namespace, struct pid_namespace, ns.inum) != space->inode) return 0;
  return READ_HALF(at, struct upid, nr);
}

INLINE void read_image(struct task_struct* task, struct TaskId* id) {
  struct mm_struct* mm = task->mm;
  if (!mm) return;
  struct file* file = mm->exe_file;
  if (!file) return;
  struct inode* inode = file->f_inode;
  if (!inode) return;
  struct super_block* super = inode->i_sb;
  if (!super) return;
  id->inode = inode->i_ino;
  id->generation = inode->i_generation;
  id->device = super->s_dev;
  READ_AGAIN();
  // Not held while it is read: after execve(2) or exit(2) its memory may be another's.
  if (task->mm != mm) {
    id->inode = 0;
    id->generation = 0;
    id->device = 0;
  }
}

// `task` is any thread of the process: a leader that has ended has no mm.
INLINE void read_task(struct task_struct* task, const struct NumberSpace* space,
                      struct TaskId* id) {
  struct task_struct* leader = task->group_leader;
  if (!leader) return;
  id->start_ns = leader->start_boottime;
  id->pid = number_of(leader->thread_pid, space);
  id->executions = task->self_exec_id;
  read_image(task, id);
}
