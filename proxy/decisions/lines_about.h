#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "proxy/decisions/event.h"
#include "proxy/decisions/filter.h"
#include "proxy/decisions/scan.h"
#include "proxy/decisions/story.h"

namespace warder::decisions {

// Keeps the lines of one kind that are about one of some ids: the first few and the last ones.
// However many follow, the last `revoked` or `undecidable` and the last record of what was closed
// are kept, because they say how it ended. `reauthorized` records in a row are kept as one.
class LinesAbout final : public ItemSink {
 public:
  static constexpr std::size_t kFirst = 4, kLast = 12;

  // `ids`: of decisions or requests, at least one.
  LinesAbout(Event::Kind kind, std::vector<std::string> ids);

  bool on_item(const Item& item) override;

  [[nodiscard]] const Filter& filter() const { return filter_; }
  [[nodiscard]] const std::vector<LoggedLine>& lines() const { return lines_; }
  // Those that the kept lines name.
  [[nodiscard]] std::vector<std::string> decisions() const;
  [[nodiscard]] std::vector<std::string> requests() const;
  // How many were not kept, and are in no other.
  [[nodiscard]] std::uint64_t left() const { return left_; }

 private:
  enum class Role { other, reauthorized, revoked, closed };
  struct Note {
    Role role = Role::other;
    std::string decision, request;
  };

  [[nodiscard]] static Role role_of(const Event& event);
  [[nodiscard]] bool is_about(const Event& event) const;
  [[nodiscard]] bool says_the_end(std::size_t at) const;
  void leave_one_out();

  Event::Kind kind_;
  Filter filter_;
  std::vector<LoggedLine> lines_;
  std::vector<Note> notes_;  // of each line
  std::uint64_t left_ = 0;
};

}  // namespace warder::decisions
