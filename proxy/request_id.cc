#include "proxy/request_id.h"

#include <sys/random.h>

#include <array>
#include <cstdint>
#include <cstdlib>

namespace warder::proxy {

std::string new_request_id() {
  std::array<std::uint8_t, 16> bytes{};
  // getrandom(2): up to 256 bytes are never cut short once the kernel's pool is ready.
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) std::abort();
  constexpr char kDigits[] = "0123456789abcdef";
  std::string id;
  for (const std::uint8_t byte : bytes) {
    id += kDigits[byte >> 4U];
    id += kDigits[byte & 15U];
  }
  return id;
}

std::string new_pseudonym() { return "warder-" + new_request_id().substr(0, 12); }

}  // namespace warder::proxy
