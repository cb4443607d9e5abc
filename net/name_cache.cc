#include "net/name_cache.h"

#include <utility>

namespace warder::net {

NameCache::NameCache(std::size_t entries, Clock now) : entries_(entries), now_(std::move(now)) {}

void NameCache::remember(const std::string& name, Answer answer,
                         std::chrono::nanoseconds good_until) {
  if (const auto old = index_.find(name); old != index_.end()) erase(old->second);
  if (good_until <= now_() || entries_ == 0) return;
  if (order_.size() >= entries_) erase(std::prev(order_.end()));
  order_.push_front({name, std::move(answer), good_until});
  index_.emplace(order_.front().name, order_.begin());
}

const NameCache::Answer* NameCache::find(const std::string& name) {
  const auto found = index_.find(name);
  if (found == index_.end()) return nullptr;
  const Order::iterator entry = found->second;
  if (entry->good_until <= now_()) {
    erase(entry);
    return nullptr;
  }
  order_.splice(order_.begin(), order_, entry);
  return &entry->answer;
}

void NameCache::clear() {
  index_.clear();
  order_.clear();
}

void NameCache::erase(Order::iterator entry) {
  index_.erase(entry->name);
  order_.erase(entry);
}

}  // namespace warder::net
