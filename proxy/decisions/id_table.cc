#include "proxy/decisions/id_table.h"

#include <openssl/sha.h>

#include <cstring>
#include <utility>

namespace warder::decisions {
namespace {

constexpr std::size_t kDigits = 32;
constexpr std::size_t kUuid = 36;

int digit_of(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool is_dash_place(std::size_t at) { return at == 8 || at == 13 || at == 18 || at == 23; }

std::optional<Id> from_digits(std::string_view text) {
  const bool uuid = text.size() == kUuid;
  if (!uuid && text.size() != kDigits) return std::nullopt;
  Id id{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (uuid && is_dash_place(i)) {
      if (text[i] != '-') return std::nullopt;
      continue;
    }
    const int digit = digit_of(text[i]);
    if (digit < 0) return std::nullopt;
    std::uint64_t& half = id[count / 16];
    half = half << 4U | static_cast<std::uint64_t>(digit);
    ++count;
  }
  return id;
}

}  // namespace

Id id_of(std::string_view text) {
  if (const auto id = from_digits(text)) return *id;
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  Id id{};
  std::memcpy(id.data(), digest.data(), sizeof(id));
  return id;
}

IdTable::Slot& IdTable::place_of(const Id& id) {
  // Ids are random; those that are not cost time, not answers.
  const std::uint64_t mixed = (id[0] ^ (id[1] * 0x9E3779B97F4A7C15U)) * 0xBF58476D1CE4E5B9U;
  std::size_t at = (mixed >> 20U) & (slots_.size() - 1);
  while (slots_[at].used && slots_[at].id != id) at = (at + 1) & (slots_.size() - 1);
  return slots_[at];
}

void IdTable::grow() {
  std::vector<Slot> before(slots_.size() * 2);
  before.swap(slots_);
  for (const Slot& slot : before) {
    if (slot.used) place_of(slot.id) = slot;
  }
}

std::uint32_t* IdTable::find(const Id& id) {
  Slot& slot = place_of(id);
  return slot.used ? &slot.number : nullptr;
}

std::uint32_t* IdTable::add(const Id& id) {
  Slot* slot = &place_of(id);
  if (slot->used) return &slot->number;
  if (size_ == most_) {
    overfull_ = true;
    return nullptr;
  }
  if ((size_ + 1) * 4 > slots_.size() * 3) {
    grow();
    slot = &place_of(id);
  }
  ++size_;
  slot->used = true;
  slot->id = id;
  return &slot->number;
}

}  // namespace warder::decisions
