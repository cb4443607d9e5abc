#pragma once

#include <string>

namespace warder::testing {

// More of what the client program does. Each returns whether it worked, with errno set.

// So many more descriptors of `fd`.
bool duplicate(int fd, int count);
// A listener, a connection to it, and its other end.
bool listen_and_connect();
// A thread that connects with a table of its own, and another that shares that table.
bool connect_apart_in_two(bool (*connect)());
// So many more TCP sockets, not connected.
bool open_sockets(int count);
// A second thread, traced by a child; the first is not.
bool trace_second_thread();

}  // namespace warder::testing
