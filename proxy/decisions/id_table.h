#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace warder::decisions {

// The ids of OPA (UUIDs) and of Warder (32 hexadecimal digits) are 16 bytes; of any other text
// those of its SHA-256.
using Id = std::array<std::uint64_t, 2>;

[[nodiscard]] Id id_of(std::string_view text);

// A number for each of many ids, in some 40 bytes each. It holds no more than it was made for: one
// that doesn't fit is refused, and overfull() says so.
class IdTable {
 public:
  explicit IdTable(std::size_t most) : most_(most), slots_(kFirstSlots) {}

  // The number of an id, or null. Valid until the next add().
  [[nodiscard]] std::uint32_t* find(const Id& id);
  // That of an id that may be new, and is 0 then; null when there is no room.
  [[nodiscard]] std::uint32_t* add(const Id& id);

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool overfull() const { return overfull_; }

 private:
  static constexpr std::size_t kFirstSlots = 1024;
  struct Slot {
    Id id{};
    std::uint32_t number = 0;
    bool used = false;
  };

  [[nodiscard]] Slot& place_of(const Id& id);
  void grow();

  const std::size_t most_;
  std::vector<Slot> slots_;  // a power of two, at most three quarters used; linear probing
  std::size_t size_ = 0;
  bool overfull_ = false;
};

}  // namespace warder::decisions
