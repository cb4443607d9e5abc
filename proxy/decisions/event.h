#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace warder::decisions {

// What is read of a line; most stand both in OPA's events (under input, result, …) and in Warder's
// records (at the top).
enum class Field : std::uint8_t {
  none,
  decision_id,
  request_id,
  timestamp,  // of an event
  ts,         // of a record
  path,       // of an event: which document was asked for; of a record: of the request
  query,
  error,
  result,  // that it is an object or a list
  allow,
  reason,
  policy,
  enforcement,
  would_deny,
  result_revision,
  legacy_revision,
  binary,
  sha256,
  host,
  port,
  kind,
  http_method,
  http_path,
  client,  // of a record: address and port
  client_address,
  client_port,
  grade,
  assurance,
  identity_reason,
  pid,
  uid,
  container,
  handler_ns,
  eval_ns,
  parse_ns,
  event,
  seq,
  decision,
  code,
  reused,
  status,
  count,
  last_decision_id,
  log,
  stream,
  message,
  stream_id,
  line_break,
  container_id,
  partial,
  partial_id,
  partial_last,
  kCount,
};

struct Value {
  enum class Type : std::uint8_t { absent, null, boolean, number, string, nested };
  Type type = Type::absent;
  bool boolean = false;
  std::string_view text;  // of a string, decoded; of a number, as written
};

// A line that was understood, whole or in part. Texts are views into the reader that made it, and
// hold until its next line. They are not escaped, and may hold lone surrogates.
class Event {
 public:
  enum class Kind : std::uint8_t {
    decision,  // an event of OPA's decision log
    record,    // a record of Warder's, of any kind
    docker,    // a line of docker's json-file with another line inside
    journal,   // an entry of the journal with another line inside
    foreign,   // something else: other log lines, text
    broken,    // begins like a JSON object, but is none, or names something twice
  };

  [[nodiscard]] const Value& at(Field field) const {
    return values_[static_cast<std::size_t>(field)];
  }
  // The text of a string, empty where there is none.
  [[nodiscard]] std::string_view text(Field field) const;
  // A whole number that is not negative.
  [[nodiscard]] std::optional<std::uint64_t> number(Field field) const;
  [[nodiscard]] bool is_true(Field field) const;

  // What came of it, of an event and of a record: "allow", "audit" (allowed, but it would have been
  // denied), "deny", "undefined" (no result), "error".
  [[nodiscard]] std::string_view outcome() const;
  // Nanoseconds since 1970; nothing where there is no time, or one that can't be read.
  [[nodiscard]] std::optional<std::int64_t> time() const;
  // The document that was asked for, without the leading slash.
  [[nodiscard]] std::string_view decision_path() const;
  // Which policies decided: what the answer says, else "name=revision" of each bundle; may be
  // empty.
  [[nodiscard]] std::string revision() const;

  Kind kind = Kind::foreign;
  std::vector<std::string_view> containers;  // of each process of the caller, at most 64
  // Name and revision, at most 16.
  std::vector<std::pair<std::string_view, std::string_view>> bundles;
  std::string bytes;  // the journal's message, where that was a list of bytes

 private:
  friend class EventBuilder;
  std::array<Value, static_cast<std::size_t>(Field::kCount)> values_{};
};

// Understands one line after the other. What it doesn't know it passes over; it is strict about
// what it does know, because every byte may have been chosen by whoever is being controlled.
class EventReader {
 public:
  // The event holds until the next call. The line is at most LineReader::kLongest long.
  [[nodiscard]] const Event& read(std::string_view line);

 private:
  Event event_;
  std::vector<char> scratch_;  // the line, decoded in place
};

}  // namespace warder::decisions
