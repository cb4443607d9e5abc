#pragma once

#include <pthread.h>

#include <csignal>

namespace warder::proxy {

// A thread started while this lives takes no signals: the loops handle those meant for the process,
// and a SIGPIPE of the thread's own stays pending and does nothing.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace warder::proxy
