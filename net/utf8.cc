#include "net/utf8.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace warder {
namespace {

// How long the sequence that begins with `lead` is, and what its second byte may be (RFC 3629,
// section 4). A length of 0: not a lead byte.
struct Sequence {
  std::size_t length = 0;
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
};

Sequence sequence_of(unsigned char lead) {
  if (lead < 0x80) return {1};
  if (lead < 0xC2) return {};
  if (lead < 0xE0) return {2};
  if (lead == 0xE0) return {3, 0xA0, 0xBF};
  if (lead == 0xED) return {3, 0x80, 0x9F};
  if (lead < 0xF0) return {3};
  if (lead == 0xF0) return {4, 0x90, 0xBF};
  if (lead < 0xF4) return {4};
  if (lead == 0xF4) return {4, 0x80, 0x8F};
  return {};
}

// Where the first byte beyond ASCII may be, from `i` on; looks at eight at a time.
std::size_t skip_ascii(std::string_view bytes, std::size_t i) {
  std::uint64_t eight = 0;
  while (bytes.size() - i >= sizeof(eight)) {
    std::memcpy(&eight, bytes.data() + i, sizeof(eight));
    if ((eight & 0x8080808080808080) != 0) break;
    i += sizeof(eight);
  }
  return i;
}

}  // namespace

bool is_utf8(std::string_view bytes) { return utf8_prefix(bytes) == bytes.size(); }

std::size_t utf8_prefix(std::string_view bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  std::size_t i = skip_ascii(bytes, 0);
  while (i < bytes.size()) {
    const Sequence sequence = sequence_of(at(i));
    if (sequence.length == 0 || sequence.length > bytes.size() - i) return i;
    if (sequence.length > 1 && (at(i + 1) < sequence.low || at(i + 1) > sequence.high)) {
      return i;
    }
    for (std::size_t k = 2; k < sequence.length; ++k) {
      if ((at(i + k) & 0xC0) != 0x80) return i;
    }
    i += sequence.length;
    if (sequence.length == 1) i = skip_ascii(bytes, i);
  }
  return i;
}

}  // namespace warder
