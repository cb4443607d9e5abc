#include "proxy/decisions/lines_about.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace warder::decisions {

LinesAbout::LinesAbout(Event::Kind kind, std::vector<std::string> ids) : kind_(kind) {
  filter_.path.assign(1, '*');
  filter_.probes = true;
  filter_.ids = std::move(ids);
}

bool LinesAbout::is_about(const Event& event) const {
  if (filter_.matches(event)) return true;
  const std::string_view last = event.text(Field::last_decision_id);
  return !last.empty() &&
         std::find(filter_.ids.begin(), filter_.ids.end(), last) != filter_.ids.end();
}

LinesAbout::Role LinesAbout::role_of(const Event& event) {
  if (event.kind != Event::Kind::record) return Role::other;
  const std::string_view kind = event.text(Field::event);
  if (kind == "tunnel" || kind == "request") return Role::closed;
  if (kind != "decision") return Role::other;
  const std::string_view code = event.text(Field::code);
  return code == "reauthorized"                       ? Role::reauthorized
         : code == "revoked" || code == "undecidable" ? Role::revoked
                                                      : Role::other;
}

bool LinesAbout::on_item(const Item& item) {
  if (item.event.kind != kind_ || !is_about(item.event)) return true;
  Note note{role_of(item.event), std::string(item.event.text(Field::decision_id)),
            std::string(item.event.text(Field::request_id))};
  const bool again = note.role == Role::reauthorized && !notes_.empty() &&
                     notes_.back().role == Role::reauthorized &&
                     notes_.back().request == note.request;
  if (again) {
    lines_.back().text.assign(item.text);
    ++lines_.back().count;
    notes_.back() = std::move(note);
    return true;
  }
  LoggedLine line;
  line.text.assign(item.text);
  line.since.assign(item.event.text(Field::ts));
  lines_.push_back(std::move(line));
  notes_.push_back(std::move(note));
  if (lines_.size() > kFirst + kLast) leave_one_out();
  return true;
}

bool LinesAbout::says_the_end(std::size_t at) const {
  const Role role = notes_[at].role;
  if (role != Role::revoked && role != Role::closed) return false;
  return std::none_of(notes_.begin() + static_cast<std::ptrdiff_t>(at) + 1, notes_.end(),
                      [role](const Note& later) { return later.role == role; });
}

void LinesAbout::leave_one_out() {
  // At most two say the end, so there is another one, and one after it.
  std::size_t at = kFirst;
  while (says_the_end(at)) ++at;
  left_ += lines_[at].count;
  lines_[at + 1].left_out += lines_[at].left_out + lines_[at].count;
  lines_.erase(lines_.begin() + static_cast<std::ptrdiff_t>(at));
  notes_.erase(notes_.begin() + static_cast<std::ptrdiff_t>(at));
}

std::vector<std::string> LinesAbout::decisions() const {
  std::vector<std::string> ids;
  for (const Note& note : notes_) {
    if (!note.decision.empty()) ids.push_back(note.decision);
  }
  return ids;
}

std::vector<std::string> LinesAbout::requests() const {
  std::vector<std::string> ids;
  for (const Note& note : notes_) {
    if (!note.request.empty()) ids.push_back(note.request);
  }
  return ids;
}

}  // namespace warder::decisions
