#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/address.h"
#include "net/clock.h"
#include "net/result.h"

namespace warder::net {

// What names stood for, each until a moment of its own. Full, it forgets what was used longest ago.
// A plain object of one thread.
class NameCache {
 public:
  using Answer = Result<std::vector<IpAddress>>;

  explicit NameCache(std::size_t entries, Clock now = boot_time);
  NameCache(const NameCache&) = delete;
  NameCache& operator=(const NameCache&) = delete;
  ~NameCache() = default;

  // Takes the place of what was kept under the name. Nothing is kept of what is over already.
  void remember(const std::string& name, Answer answer, std::chrono::nanoseconds good_until);
  // nullptr when there is none; good until the next call of any of the three.
  [[nodiscard]] const Answer* find(const std::string& name);
  void clear();

  [[nodiscard]] std::size_t size() const { return index_.size(); }
  [[nodiscard]] std::chrono::nanoseconds now() const { return now_(); }

 private:
  struct Entry {
    std::string name;
    Answer answer;
    std::chrono::nanoseconds good_until;
  };
  using Order = std::list<Entry>;

  void erase(Order::iterator entry);

  const std::size_t entries_;
  const Clock now_;
  Order order_;                                                  // the last used first
  std::unordered_map<std::string_view, Order::iterator> index_;  // names are those of the entries
};

}  // namespace warder::net
