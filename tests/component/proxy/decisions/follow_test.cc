#include "proxy/decisions/follow.h"

#include <fmt/format.h>

#include <catch2/catch_test_macros.hpp>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "scratch_file.h"

namespace warder::decisions {
namespace {

std::string line(int id) {
  return fmt::format(R"({{"decision_id":"{}","path":"x","timestamp":"t","result":true}})", id);
}

// Ids of the decisions, in their order.
class Ids final : public ItemSink {
 public:
  bool on_item(const Item& item) override {
    ids_.emplace_back(item.event.text(Field::decision_id));
    if (const auto act = std::exchange(then, nullptr)) act();
    return ids_.size() < limit;
  }
  [[nodiscard]] std::vector<std::string> take() { return std::exchange(ids_, {}); }
  std::size_t limit = 1000;
  std::function<void()> then;  // once, while it is told of an item

 private:
  std::vector<std::string> ids_;
};

using Texts = std::vector<std::string>;

struct FollowFixture {
  ScratchFile file;
  Prefilter prefilter;
  LineCounts counts;
  Ids ids;

  Texts look(Followed& followed) {
    const auto more = followed.look(ids);
    REQUIRE(more);
    CHECK(*more);
    return ids.take();
  }
};

TEST_CASE_METHOD(FollowFixture, "decisions: what is appended is followed, torn lines too") {
  file.write(line(1) + "\n" + line(2) + "\n");
  Followed followed(file.path(), false, prefilter, counts);
  CHECK(look(followed).empty());
  file.append(line(3) + "\n" + line(4).substr(0, 10));
  CHECK(look(followed) == Texts{"3"});
  CHECK(look(followed).empty());
  file.append(line(4).substr(10) + "\n");
  CHECK(look(followed) == Texts{"4"});
  CHECK(counts.torn + counts.broken == 0);
}

TEST_CASE_METHOD(FollowFixture,
                 "decisions: the rest of a line that was begun before is not looked at") {
  file.write(line(1).substr(0, 20));
  Followed followed(file.path(), false, prefilter, counts);
  CHECK(look(followed).empty());
  file.append(line(1).substr(20) + "\n" + line(2) + "\n");
  CHECK(look(followed) == Texts{"2"});
  CHECK(counts.lines() == 1);
}

TEST_CASE_METHOD(FollowFixture, "decisions: an empty file is followed from its first line") {
  file.write("");
  Followed followed(file.path(), false, prefilter, counts);
  CHECK(look(followed).empty());
  file.append(line(1) + "\n");
  CHECK(look(followed) == Texts{"1"});
}

TEST_CASE_METHOD(FollowFixture, "decisions: from the start") {
  file.write(line(1) + "\n");
  Followed followed(file.path(), true, prefilter, counts);
  CHECK(look(followed) == Texts{"1"});
}

TEST_CASE_METHOD(FollowFixture, "decisions: a rotated file is read to its end, then the new one") {
  file.write(line(1) + "\n");
  Followed followed(file.path(), true, prefilter, counts);
  CHECK(look(followed) == Texts{"1"});
  file.append(line(2) + "\n" + line(3));
  file.rotate();
  CHECK(look(followed) == Texts{"2"});
  file.write(line(4) + "\n");
  CHECK(look(followed) == Texts{"3", "4"});
  file.append(line(5) + "\n");
  CHECK(look(followed) == Texts{"5"});
}

TEST_CASE_METHOD(FollowFixture,
                 "decisions: a file that is cut off in place is read from its start") {
  file.write(line(1) + "\n" + line(2) + "\n");
  Followed followed(file.path(), true, prefilter, counts);
  CHECK(look(followed) == Texts{"1", "2"});
  file.write(line(3) + "\n");
  CHECK(look(followed) == Texts{"3"});
  // Longer than before, and cut off inside a line.
  file.write(line(4) + "\n" + line(5) + "\n" + line(6).substr(0, 9));
  CHECK(look(followed) == Texts{"4", "5"});
  file.write(line(7) + "\n" + line(8) + "\n" + line(9) + "\n");
  CHECK(look(followed) == Texts{"7", "8", "9"});
  CHECK(counts.torn == 1);
}

TEST_CASE_METHOD(FollowFixture, "decisions: a file that is cut off while it is read") {
  file.write(line(1) + "\n");
  Followed followed(file.path(), true, prefilter, counts);
  ids.then = [this] { file.write(line(2) + "\n" + line(3) + "\n"); };
  CHECK(look(followed) == Texts{"1"});
  CHECK(look(followed) == Texts{"2", "3"});
  CHECK(counts.torn + counts.broken + counts.foreign == 0);
}

TEST_CASE_METHOD(FollowFixture, "decisions: a file that isn't there") {
  Followed followed(file.path(), true, prefilter, counts);
  CHECK_FALSE(followed.look(ids));
}

TEST_CASE_METHOD(FollowFixture, "decisions: following ends when no more is wanted") {
  file.write(line(1) + "\n" + line(2) + "\n");
  Followed followed(file.path(), true, prefilter, counts);
  ids.limit = 1;
  const auto more = followed.look(ids);
  REQUIRE(more);
  CHECK_FALSE(*more);
  CHECK(ids.take() == Texts{"1"});
}

}  // namespace
}  // namespace warder::decisions
