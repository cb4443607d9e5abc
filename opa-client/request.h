#pragma once

#include <string>
#include <string_view>

#include "opa-client/client.h"

namespace warder::opa {

// Makes the bytes of requests to one OPA.
class RequestMaker {
 public:
  explicit RequestMaker(const ClientOptions& options);

  // `token` empty: no Authorization.
  [[nodiscard]] std::string question(const Query& query, std::string_view token) const;
  [[nodiscard]] std::string reading(std::string_view path, std::string_view token) const;

 private:
  std::string post_;    // the request line and what follows it each time
  std::string common_;  // likewise, without the request line
};

}  // namespace warder::opa
