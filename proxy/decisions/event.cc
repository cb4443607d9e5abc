#include "proxy/decisions/event.h"

#include <charconv>
#include <system_error>

#include "opa-client/json.h"
#include "proxy/decisions/event_fields.h"
#include "proxy/decisions/instant.h"
#include "proxy/decisions/line_reader.h"

namespace warder::decisions {
namespace {

constexpr opa::JsonLimits kWalkLimits{LineReader::kLongest, 64};
constexpr std::size_t kMostContainers = 64;
constexpr std::size_t kMostBundles = 16;

bool is_text(const Value& value) { return value.type == Value::Type::string; }

std::string_view without_slash(std::string_view path) {
  if (path.starts_with('/')) path.remove_prefix(1);
  return path;
}

}  // namespace

// Fills an event in the order of the document. A place is known by the keys that led to it.
class EventBuilder final : public opa::JsonVisitor {
 public:
  explicit EventBuilder(Event& event) : event_(event) {
    event.values_ = {};
    event.containers.clear();
    event.bundles.clear();
    event.bytes.clear();
  }

  bool on_null() override { return put({Value::Type::null, false, {}}); }
  bool on_boolean(bool value) override { return put({Value::Type::boolean, value, {}}); }
  bool on_string(std::string_view text) override { return put({Value::Type::string, false, text}); }
  bool on_number(std::string_view digits) override {
    if (node_ == Node::bytes) return add_byte(digits);
    return put({Value::Type::number, false, digits});
  }

  bool on_key(std::string_view text) override {
    if (unknown_ > 0) return true;
    slot_ = slot_of(node_, text);
    if (node_ == Node::bundles) bundle_ = text;
    if (node_ == Node::bundle && text == "revision") in_revision_ = true;
    return true;
  }

  bool on_open(bool object) override {
    if (unknown_ > 0) {
      ++unknown_;
      return true;
    }
    if (depth_ == 0) return enter(object ? Node::root : Node::nowhere);
    if (node_ == Node::processes) {
      slot_ = {Field::none, Node::process};
      ++processes_;
      container_seen_ = false;
    }
    const Slot slot = slot_;
    slot_ = {};
    if (slot.nested != Field::none && !note(slot.nested)) return false;
    in_revision_ = false;
    return enter(object ? slot.object : slot.list);
  }

  bool on_close() override {
    if (unknown_ > 0) {
      --unknown_;
      return true;
    }
    --depth_;
    node_ = depth_ > 0 ? path_[depth_ - 1] : Node::nowhere;
    return true;
  }

 private:
  bool enter(Node node) {
    if (node == Node::nowhere || depth_ == path_.size()) {
      unknown_ = 1;
      return true;
    }
    // An object that is there twice would let one value hide another, with no key twice in either.
    if (node != Node::process && node != Node::bundle) {
      bool& seen = entered_[static_cast<std::size_t>(node)];
      if (seen) return false;
      seen = true;
    }
    path_[depth_++] = node;
    node_ = node;
    return true;
  }

  bool note(Field field) { return set(field, {Value::Type::nested, false, {}}); }

  // Readers differ in which of two they take.
  bool set(Field field, Value value) {
    Value& place = event_.values_[static_cast<std::size_t>(field)];
    if (place.type != Value::Type::absent) return false;
    place = value;
    return true;
  }

  bool put(Value value) {
    if (unknown_ > 0) return true;
    if (in_revision_) return add_revision(value);
    const Field field = slot_.field;
    slot_ = {};
    if (field == Field::none) return true;
    if (node_ == Node::process && field == Field::container) return add_container(value);
    if (node_ == Node::process && processes_ > 1) return true;
    return set(field, value);
  }

  bool add_container(const Value& value) {
    if (container_seen_) return false;
    container_seen_ = true;
    if (is_text(value) && event_.containers.size() < kMostContainers) {
      event_.containers.push_back(value.text);
    }
    return true;
  }

  bool add_revision(const Value& value) {
    in_revision_ = false;
    if (is_text(value) && event_.bundles.size() < kMostBundles) {
      event_.bundles.emplace_back(bundle_, value.text);
    }
    return true;
  }

  bool add_byte(std::string_view digits) {
    unsigned value = 0;
    const auto end = digits.data() + digits.size();
    const auto read = std::from_chars(digits.data(), end, value);
    if (read.ec != std::errc() || read.ptr != end || value > 0xFF) return false;
    event_.bytes += static_cast<char>(value);
    return true;
  }

  Event& event_;
  std::array<Node, 8> path_{};
  std::size_t depth_ = 0;
  Node node_ = Node::nowhere;
  std::size_t unknown_ = 0;  // how deep inside something that is passed over
  Slot slot_;
  std::array<bool, static_cast<std::size_t>(Node::bytes) + 1> entered_{};
  std::string_view bundle_;
  bool in_revision_ = false;
  std::size_t processes_ = 0;
  bool container_seen_ = false;
};

namespace {

Event::Kind kind_of(const Event& event) {
  const auto has_text = [&](Field field) { return is_text(event.at(field)); };
  const bool asked = has_text(Field::path) || has_text(Field::query);
  if (has_text(Field::event) && event.at(Field::seq).type == Value::Type::number) {
    return Event::Kind::record;
  }
  if (has_text(Field::decision_id) && asked && has_text(Field::timestamp)) {
    return Event::Kind::decision;
  }
  if (has_text(Field::log) && has_text(Field::stream)) return Event::Kind::docker;
  if (event.at(Field::message).type != Value::Type::absent) return Event::Kind::journal;
  return Event::Kind::foreign;
}

}  // namespace

const Event& EventReader::read(std::string_view line) {
  EventBuilder builder(event_);
  event_.kind = Event::Kind::foreign;
  const auto first = line.find_first_not_of(" \t\r");
  if (first == std::string_view::npos || line[first] != '{') return event_;
  scratch_.assign(line.begin(), line.end());
  scratch_.push_back('\0');
  const auto walked = opa::walk_json({scratch_.data(), line.size()}, builder, kWalkLimits);
  event_.kind = walked ? kind_of(event_) : Event::Kind::broken;
  return event_;
}

std::string_view Event::text(Field field) const {
  const Value& value = at(field);
  return is_text(value) ? value.text : std::string_view();
}

std::optional<std::uint64_t> Event::number(Field field) const {
  const Value& value = at(field);
  if (value.type != Value::Type::number) return std::nullopt;
  std::uint64_t number = 0;
  const char* end = value.text.data() + value.text.size();
  const auto read = std::from_chars(value.text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

bool Event::is_true(Field field) const {
  const Value& value = at(field);
  return value.type == Value::Type::boolean && value.boolean;
}

std::string_view Event::outcome() const {
  if (kind == Kind::record) {
    const std::string_view decision = text(Field::decision);
    return decision == "allow" && is_true(Field::would_deny) ? "audit" : decision;
  }
  const Value::Type error = at(Field::error).type;
  if (error != Value::Type::absent && error != Value::Type::null) return "error";
  const Value& allow = at(Field::allow);
  const bool no_result =
      allow.type == Value::Type::absent && at(Field::result).type == Value::Type::absent;
  if (no_result) return "undefined";
  if (!is_true(Field::allow)) return "deny";
  return is_true(Field::would_deny) ? "audit" : "allow";
}

std::optional<std::int64_t> Event::time() const {
  return parse_rfc3339(text(kind == Kind::record ? Field::ts : Field::timestamp));
}

std::string_view Event::decision_path() const { return without_slash(text(Field::path)); }

std::string Event::revision() const {
  std::string found(text(Field::result_revision));
  if (!found.empty()) return found;
  for (const auto& [name, revision] : bundles) {
    if (!found.empty()) found += ',';
    found.append(name).append("=").append(revision);
  }
  return found.empty() ? std::string(text(Field::legacy_revision)) : found;
}

}  // namespace warder::decisions
