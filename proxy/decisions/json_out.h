#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace warder::decisions {

// Writes one JSON object in ASCII, in the order of the calls. Texts may hold any bytes; what is not
// UTF-8 is shown as in text_escape.h.
class JsonOut {
 public:
  JsonOut();
  JsonOut(const JsonOut&) = delete;
  JsonOut& operator=(const JsonOut&) = delete;
  ~JsonOut();

  void add(std::string_view key, std::string_view text);
  void add(std::string_view key, std::uint64_t number);
  // As it is: a valid JSON text in one line.
  void add_json(std::string_view key, std::string_view json);
  void open(std::string_view key);
  void close();
  // The object. Nothing can be added afterwards.
  [[nodiscard]] std::string finish();

 private:
  struct Writer;
  std::unique_ptr<Writer> writer_;
};

}  // namespace warder::decisions
