#pragma once

#include <llhttp.h>

#include <optional>
#include <string>
#include <string_view>

namespace warder::http {

// A second reader of a head, which has to be content with every line that ours accepted. It gets
// whole lines, so that what it says can't depend on how the bytes were cut.
class LlhttpWitness {
 public:
  explicit LlhttpWitness(llhttp_type_t type);
  LlhttpWitness(const LlhttpWitness&) = delete;
  LlhttpWitness& operator=(const LlhttpWitness&) = delete;

  // `line` with its CRLF; the empty line that ends the head goes to `end`. What is wrong, if
  // anything is.
  [[nodiscard]] std::optional<std::string> feed(std::string_view line);
  [[nodiscard]] std::optional<std::string> end(std::string_view line);

 private:
  llhttp_settings_t settings_{};
  llhttp_t parser_{};
  bool complete_ = false;  // has seen the end of the head
};

}  // namespace warder::http
