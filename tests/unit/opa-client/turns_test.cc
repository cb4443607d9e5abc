#include "opa-client/turns.h"

#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <string>
#include <vector>

using warder::opa::Turns;

namespace {

struct Item {
  std::string name;
  Turns<Item>::Place place{};
};

struct Queue {
  explicit Queue(std::size_t share) : turns(share) {}

  Item& add(const std::string& caller, const std::string& name) {
    items.push_back(std::make_unique<Item>());
    items.back()->name = name;
    turns.wait(items.back()->place, *items.back(), caller);
    return *items.back();
  }
  // Serves the next one; "" when it is nobody's turn.
  std::string serve() {
    Item* const item = turns.next();
    if (item == nullptr) return "";
    turns.begin(item->place);
    return item->name;
  }
  std::string serve_all() {
    std::string all;
    for (std::string name = serve(); !name.empty(); name = serve()) all += name + " ";
    return all;
  }

  Turns<Item> turns;
  std::vector<std::unique_ptr<Item>> items;
};

}  // namespace

TEST_CASE("turns: callers take turns, and each one's items keep their order", "[opa]") {
  Queue queue(10);
  for (const char* name : {"a1", "a2", "a3"}) queue.add("a", name);
  queue.add("b", "b1");
  for (const char* name : {"c1", "c2"}) queue.add("c", name);
  CHECK(queue.serve_all() == "a1 b1 c1 a2 c2 a3 ");
  CHECK(queue.turns.waiting() == 0);
}

TEST_CASE("turns: one that comes waits for one of each other caller at most", "[opa]") {
  Queue queue(10);
  for (const char* name : {"a1", "a2", "a3", "a4"}) queue.add("a", name);
  CHECK(queue.serve() == "a1");
  queue.add("b", "b1");
  CHECK(queue.serve() == "a2");
  CHECK(queue.serve() == "b1");
}

TEST_CASE("turns: a share is used up until one of it leaves", "[opa]") {
  Queue queue(2);
  Item& first = queue.add("a", "a1");
  for (const char* name : {"a2", "a3", "a4"}) queue.add("a", name);
  CHECK(queue.serve_all() == "a1 a2 ");
  CHECK(queue.turns.waiting() == 2);
  // More of it change nothing; somebody else has a share of their own.
  queue.add("a", "a5");
  queue.add("b", "b1");
  CHECK(queue.serve_all() == "b1 ");
  queue.turns.leave(first.place);
  CHECK(queue.serve_all() == "a3 ");
  // What leaves twice has left once.
  queue.turns.leave(first.place);
  CHECK(queue.serve_all().empty());
  CHECK(queue.turns.waiting() == 2);
}

TEST_CASE("turns: items without a caller have no share", "[opa]") {
  Queue queue(1);
  for (const char* name : {"1", "2", "3"}) queue.add("", name);
  queue.add("a", "a1");
  queue.add("a", "a2");
  CHECK(queue.serve_all() == "1 a1 2 3 ");
}

TEST_CASE("turns: one that leaves while it waits is passed over", "[opa]") {
  Queue queue(1);
  Item& first = queue.add("a", "a1");
  Item& only = queue.add("b", "b1");
  queue.add("a", "a2");
  CHECK(queue.turns.waiting_beside(first.place) == 2);
  queue.turns.leave(first.place);
  queue.turns.leave(only.place);
  CHECK_FALSE(first.place.waiting());
  CHECK(queue.serve_all() == "a2 ");
}

TEST_CASE("turns: any finds one whose share is used up", "[opa]") {
  Queue queue(1);
  CHECK(queue.turns.any() == nullptr);
  queue.add("a", "a1");
  Item& second = queue.add("a", "a2");
  CHECK(queue.serve() == "a1");
  CHECK(queue.turns.next() == nullptr);
  CHECK(queue.turns.any() == &second);
}

TEST_CASE("turns: a caller that comes again begins anew", "[opa]") {
  Queue queue(1);
  Item& first = queue.add("a", "a1");
  CHECK(queue.serve() == "a1");
  queue.turns.leave(first.place);
  queue.turns.wait(first.place, first, "a");
  CHECK(queue.serve_all() == "a1 ");
}
