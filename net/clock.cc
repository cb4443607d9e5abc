#include "net/clock.h"

#include <ctime>

namespace warder::net {

std::chrono::nanoseconds boot_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);  // fails for clocks that don't exist only
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace warder::net
