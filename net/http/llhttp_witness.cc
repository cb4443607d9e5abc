#include "net/http/llhttp_witness.h"

#include <fmt/format.h>

namespace warder::http {

LlhttpWitness::LlhttpWitness(llhttp_type_t type) {
  llhttp_settings_init(&settings_);
  settings_.on_headers_complete = [](llhttp_t* source) {
    static_cast<LlhttpWitness*>(source->data)->complete_ = true;
    return 0;
  };
  llhttp_init(&parser_, type, &settings_);
  parser_.data = this;
}

std::optional<std::string> LlhttpWitness::feed(std::string_view line) {
  const llhttp_errno_t status = llhttp_execute(&parser_, line.data(), line.size());
  // After the head of CONNECT or of an upgrade llhttp stops; so do we.
  if (status == HPE_OK || (status == HPE_PAUSED_UPGRADE && complete_)) return {};
  return fmt::format("{} ({})", llhttp_get_error_reason(&parser_), llhttp_errno_name(status));
}

std::optional<std::string> LlhttpWitness::end(std::string_view line) {
  std::optional<std::string> wrong = feed(line);
  if (!wrong && !complete_) wrong = "llhttp: the head is not complete";
  return wrong;
}

}  // namespace warder::http
