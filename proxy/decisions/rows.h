#pragma once

#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/decisions/id_table.h"
#include "proxy/decisions/line_decoder.h"

namespace warder::decisions {

enum class Form { table, json, csv };

// What Warder's record says of a decision.
struct Answer {
  std::string_view code;
  std::uint16_t status = 0;
};

// Warder's records by the id of the decision, or of the request where there was none: what became
// of what OPA said.
class Answers {
 public:
  explicit Answers(std::size_t most) : by_id_(most) {}

  // Takes a record of a decision, passes over others. Of several the first that was no reuse
  // counts. False when there is no room.
  [[nodiscard]] bool add(const Event& record);
  // That of an event of OPA's; an empty code where no record is known. Holds as long as the object.
  [[nodiscard]] Answer of(const Event& event);
  [[nodiscard]] bool empty() const { return by_id_.size() == 0; }

 private:
  [[nodiscard]] std::uint16_t code_number(std::string_view code);

  IdTable by_id_;
  std::map<std::string, std::uint16_t, std::less<>> numbers_;
  std::vector<std::string> codes_;
};

// Writes decisions, one to a line. Not thread-safe; the file must outlive it.
class Rows {
 public:
  // `answers`, which must outlive it, may be null: then nothing is said of Warder's.
  Rows(std::FILE* out, Form form, Answers* answers);

  void heading();
  void write(const Item& item);
  // False once the file can't be written any more.
  [[nodiscard]] bool good() const { return std::ferror(out_) == 0; }
  void flush() { std::fflush(out_); }

 private:
  void write_table(const Event& event, const Answer& answer);
  void write_csv(const Event& event, const Answer& answer);
  void write_json(const Item& item, const Answer& answer);
  void put(const std::string& line);

  std::FILE* out_;
  const Form form_;
  Answers* answers_;
};

// "api.example.com:443", "[2001:db8::1]:443", not escaped.
[[nodiscard]] std::string destination_of(const Event& event);

}  // namespace warder::decisions
