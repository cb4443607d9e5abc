#include "proxy/request_id.h"

#include <sys/random.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <span>

namespace warder::proxy {

namespace {

constexpr std::size_t kIdBytes = 16;

// Random bytes of the kernel for several ids: one system call for all of them.
class RandomBytes {
 public:
  std::span<const std::uint8_t, kIdBytes> take() {
    if (used_ == bytes_.size()) {
      // getrandom(2): up to 256 bytes are never cut short once the kernel's pool is ready.
      const ssize_t count = getrandom(bytes_.data(), bytes_.size(), 0);
      if (count != static_cast<ssize_t>(bytes_.size())) std::abort();
      used_ = 0;
    }
    used_ += kIdBytes;
    return std::span(bytes_).subspan(used_ - kIdBytes).first<kIdBytes>();
  }

 private:
  std::array<std::uint8_t, 256> bytes_{};
  std::size_t used_ = bytes_.size();
};

}  // namespace

std::string new_request_id() {
  thread_local RandomBytes random;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string id;
  id.reserve(2 * kIdBytes);
  for (const std::uint8_t byte : random.take()) {
    id += kDigits[byte >> 4U];
    id += kDigits[byte & 15U];
  }
  return id;
}

std::string new_pseudonym() { return "warder-" + new_request_id().substr(0, 12); }

}  // namespace warder::proxy
