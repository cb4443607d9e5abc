#pragma once

#include <string>

// What the client program does with a socket to hold references to it in ways that are not
// descriptors. Each returns whether it worked, with errno set.

// A copy is on its way to this process: in the queue of a socket pair.
bool park_copy(int fd);

// Waits in one call for what never comes: "poll", "ppoll", "select", "pselect", "recv" or
// "send". Does not return.
[[noreturn]] void wait_in(const std::string& call, int fd);

// A thread does so.
bool wait_aside(const std::string& call, int fd);

// A thread polls another descriptor, and then its set says that it polls this one.
bool pretend_to_poll(int fd);

// Registered as the only fixed file of a new io_uring.
bool register_with_uring(int fd);

// And a worker of the ring reads from it.
bool read_by_uring(int fd);

// A process with the same descriptor table; it lives as long as this one.
bool share_table();

// A copy of another process's descriptor, or -1.
int take_from(int pid, int fd);
