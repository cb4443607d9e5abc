#pragma once

#include <algorithm>
#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace warder::opa {

// In which order waiting items are served: callers take turns, and each one's items keep the order
// they came in. A caller has at most `share` items under way at once, whoever else waits, so that
// the next one finds room; items without a caller (an empty name) take turns as one, and have no
// share. Items are not owned. One thread.
template <class Item>
class Turns {
  struct Caller;

 public:
  // Where an item is. Its owner keeps it, and lets it leave() before it ends.
  class Place {
   public:
    Place() = default;
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() = default;

    [[nodiscard]] bool waiting() const { return state_ == State::waiting; }

   private:
    friend class Turns;
    enum class State { away, waiting, under_way };

    State state_ = State::away;
    Caller* caller_ = nullptr;                  // unless away
    typename std::list<Item*>::iterator item_;  // when waiting
  };

  explicit Turns(std::size_t share) : share_(share) {}
  Turns(const Turns&) = delete;
  Turns& operator=(const Turns&) = delete;
  ~Turns() = default;

  // From away.
  void wait(Place& place, Item& item, std::string_view name) {
    const auto at = callers_.try_emplace(std::string(name)).first;
    Caller& caller = at->second;
    caller.name = &at->first;
    place.caller_ = &caller;
    place.item_ = caller.items.insert(caller.items.end(), &item);
    place.state_ = Place::State::waiting;
    ++waiting_;
    settle(caller);
  }

  // From waiting. The caller comes last now.
  void begin(Place& place) {
    Caller& caller = *place.caller_;
    erase(place);
    place.state_ = Place::State::under_way;
    ++caller.under_way;
    if (caller.has_turn) turns_.splice(turns_.end(), turns_, caller.turn);
    settle(caller);
  }

  // From anywhere.
  void leave(Place& place) {
    if (place.state_ == Place::State::away) return;
    Caller& caller = *place.caller_;
    if (place.waiting()) {
      erase(place);
    } else {
      --caller.under_way;
    }
    place.state_ = Place::State::away;
    place.caller_ = nullptr;
    settle(caller);
  }

  // Whose turn it is; nullptr: nobody waits whose share is not used up.
  [[nodiscard]] Item* next() const {
    return turns_.empty() ? nullptr : turns_.front()->items.front();
  }

  // One that waits, whosever turn it is.
  [[nodiscard]] Item* any() const {
    const auto found = std::find_if(callers_.begin(), callers_.end(),
                                    [](const auto& entry) { return !entry.second.items.empty(); });
    return found == callers_.end() ? nullptr : found->second.items.front();
  }

  [[nodiscard]] std::size_t waiting() const { return waiting_; }
  // Of the caller of an item that is not away.
  [[nodiscard]] std::size_t waiting_beside(const Place& place) const {
    return place.caller_->items.size();
  }

 private:
  struct Caller {
    const std::string* name = nullptr;  // its key
    std::list<Item*> items;             // waiting
    std::size_t under_way = 0;
    bool has_turn = false;
    typename std::list<Caller*>::iterator turn;  // if it has one
  };

  void erase(Place& place) {
    place.caller_->items.erase(place.item_);
    --waiting_;
  }

  // After each change: who has nothing here is forgotten, and `caller` is not to be used any more.
  void settle(Caller& caller) {
    const bool limited = !caller.name->empty() && caller.under_way >= share_;
    const bool due = !caller.items.empty() && !limited;
    if (due && !caller.has_turn) caller.turn = turns_.insert(turns_.end(), &caller);
    if (!due && caller.has_turn) turns_.erase(caller.turn);
    caller.has_turn = due;
    if (caller.items.empty() && caller.under_way == 0) callers_.erase(callers_.find(*caller.name));
  }

  const std::size_t share_;
  std::size_t waiting_ = 0;
  std::unordered_map<std::string, Caller> callers_;
  std::list<Caller*> turns_;  // who may be served, the next one first
};

}  // namespace warder::opa
