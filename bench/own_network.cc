#include "own_network.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "net/unique_fd.h"

namespace warder::bench {

Result<void> enter_own_network() {
  if (::unshare(CLONE_NEWNET) != 0)
    return fail(Error{Errc::system, errno, "a network namespace of its own (needs root)"});
  const net::UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (::ioctl(fd.get(), SIOCSIFFLAGS, &request) != 0)
    return fail(Error{Errc::system, errno, "loopback up"});
  return {};
}

}  // namespace warder::bench
