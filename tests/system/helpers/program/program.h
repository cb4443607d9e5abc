// What the parts of the test program share. It does what it is told, one line of orders on standard
// input ("connect 10.200.0.1 3128 1;head a.test 443;park"), one line in answer, and ends with its
// input.
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum { MAX_HELD = 256 };

extern int held[MAX_HELD];  // its connections
extern int held_count;

// One answer to one order: "ok …" or "error …" with errno.
void answer(const char* format, ...) __attribute__((format(printf, 1, 2)));
void answer_result(bool good);
void serve(void);

// Places where a socket can be kept out of every descriptor table, and ways of getting at one.
bool send_held(int channel);
int receive_held(int channel);
bool park(bool keep);
bool unpark(void);
bool register_with_io_uring(bool keep);
bool install_from_io_uring(void);
bool steal(pid_t from, int descriptor);

// Ways of looking like another program.
bool set_executable(const char* path);
void exec_memory_file(const char* program, const char* name);
bool trace(pid_t pid);
bool lie_in_poll(void);
void exec_holding(const char* program, const char* mode);
