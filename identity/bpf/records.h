#pragma once

#include <linux/types.h>

// What the BPF programs and Warder share: C for the one, C++ for the other. Every structure has the
// same layout in both: fixed widths, no holes.

#ifdef __cplusplus
namespace warder::identity::bpf {
#endif

enum {
  kMostWanted = 4096,     // sockets in one pass; a power of two
  kMostOthers = 64,       // other TCP sockets told of a process
  kMostAncestors = 32,    // of one process
  kMostLevels = 33,       // of PID namespaces (MAX_PID_NS_LEVEL)
  kMostWaiters = 64,      // entries looked at in one socket's wait queue
  kWaiterBudget = 16384,  // the same in a whole pass
  kMostThreads = 65536,   // of one process, looked at for a tracer
};
#define WARDER_NOT_WANTED 0x7fffffffffffffffULL  // no inode has it

struct TaskId {
  __u64 start_ns;
  __u64 executions;
  __u64 inode;
  __u32 device;
  __u32 generation;
  __u32 pid;  // in Warder's PID namespace; 0: none there
  __u32 unused;
};

// Value of the map of connectors; its key is the socket's cookie.
struct ConnectorRecord {
  struct TaskId task;
  __u32 uid;
  __u32 unused;
};

// Written by Warder before the programs run.
struct NumberSpace {
  __u32 inode;  // of Warder's PID namespace
  __u32 level;  // how far below the first one it is
};

enum {
  kAncestorKind = 1,  // nearest first, before the task they belong to
  kTaskKind = 2,
  kHeldKind = 3,  // of the last task
  kOtherKind = 4,
};

struct RecordHead {
  __u32 kind;
  __u32 size;  // of the whole record
};

struct AncestorRecord {
  struct RecordHead head;
  struct TaskId task;
};

struct TaskRecord {
  struct RecordHead head;
  struct TaskId task;
  __u32 uid;
  __u32 gid;
  __u32 user_namespace;
  __u32 traced;
  __u32 ancestors_complete;
  __u32 unused;
};

struct HeldRecord {
  struct RecordHead head;
  __u64 inode;
  __u64 table;
  __u64 references;
  __u32 descriptor;
  __u32 thread;
  __u32 waiting;
  __u32 steady;
  __u32 uncounted;  // the budget was used up: nobody looked who waits
  __u32 unused;
};

struct OtherRecord {
  struct RecordHead head;
  __u64 inode;
  __u64 cookie;
  __u32 family;
  __u32 state;
  __u16 local_port;   // host order
  __u16 remote_port;  // network order
  __u32 unused;
  __u8 local[16];  // network order; of IPv4 the first four bytes
  __u8 remote[16];
};

// The memory that Warder and the pass share. One pass at a time.
struct PassState {
  // Set before a pass.
  struct NumberSpace numbers;
  __u32 stack_bytes;  // of a kernel stack
  __u32 first_step;   // of the search in `wanted`: half its length
  __u32 others;       // whether they are asked for
  __u32 limited;      // whether the next counts
  __u32 descriptors_left;
  // Cleared before a pass, and the pass's own.
  __u32 others_told;
  __u32 others_left_out;
  __u32 waiter_budget;
  struct TaskId last;
  __u32 last_number;  // of the last task, in the first PID namespace
  __u32 ended;        // there are no more descriptors
  // Ascending; up to the next power of two WARDER_NOT_WANTED.
  __u64 wanted[kMostWanted];
};

#ifdef __cplusplus
}  // namespace warder::identity::bpf
#endif
