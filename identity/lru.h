#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <unordered_map>
#include <utility>

namespace warder::identity {

// A map of at most `limit` entries; the one used longest ago makes room. Belongs to one thread at a
// time.
template <class Key, class Value, class Hash = std::hash<Key>>
class Lru {
 public:
  explicit Lru(std::size_t limit) : limit_(limit) {}

  // nullptr when there is none; good until the next call of put().
  [[nodiscard]] Value* find(const Key& key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return &found->second->second;
  }

  // In place of what was there before.
  Value& put(const Key& key, Value value) {
    if (Value* const there = find(key)) return *there = std::move(value);
    if (index_.size() >= limit_) {
      index_.erase(order_.back().first);
      order_.pop_back();
    }
    order_.emplace_front(key, std::move(value));
    index_.emplace(key, order_.begin());
    return order_.front().second;
  }

  [[nodiscard]] std::size_t size() const { return index_.size(); }
  void clear() {
    index_.clear();
    order_.clear();
  }

 private:
  using Order = std::list<std::pair<Key, Value>>;
  const std::size_t limit_;
  Order order_;  // the last used first
  std::unordered_map<Key, typename Order::iterator, Hash> index_;
};

}  // namespace warder::identity
