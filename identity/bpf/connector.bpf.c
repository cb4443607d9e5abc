// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
// The helpers it calls are for programs under a licence compatible with the GPL.

// Who called connect(2): a record under the socket's cookie.

#include "task_id.bpf.h"

enum {
  TCP_SYN_SENT = 2,  // include/net/tcp_states.h
  TCP_PROTOCOL = 6,
  PF_KTHREAD = 0x00200000,  // include/linux/sched.h
};

struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);
  __uint(max_entries, 65536);
  __type(key, __u64);
  __type(value, struct ConnectorRecord);
} connectors SEC(".maps");

struct NumberSpace space;

// Runs in the task that connects, before the first segment leaves.
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, struct sock* sk, int before, int after) {
  if (after != TCP_SYN_SENT || sk->sk_protocol != TCP_PROTOCOL) return 0;
  struct task_struct* task = bpf_get_current_task_btf();
  if (task->flags & PF_KTHREAD) return 0;
  struct ConnectorRecord record = {};
  read_task(task, &space, &record.task);
  const struct cred* cred = task->cred;
  if (!cred) return 0;
  record.uid = cred->euid.val;
  __u64 cookie = bpf_get_socket_cookie(sk);
  bpf_map_update_elem(&connectors, &cookie, &record, BPF_ANY);
  return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
