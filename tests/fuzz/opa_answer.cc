#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "net/address.h"
#include "opa-client/decision.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string body(reinterpret_cast<const char*>(data), size);
  const warder::Result<warder::opa::Decision> decision = warder::opa::parse_answer(body);
  if (!decision) {
    REQUIRE_THAT(decision.error().code == warder::Errc::opa_not_json ||
                 decision.error().code == warder::Errc::opa_bad_answer);
    return 0;
  }
  // Nothing opens without a literal true under a key "result" (which escapes could spell, too).
  if (decision->allow) {
    REQUIRE_THAT(!decision->undefined);
    REQUIRE_THAT(body.find("true") != std::string::npos);
    REQUIRE_THAT(body.find("result") != std::string::npos || body.find('\\') != std::string::npos);
  }
  REQUIRE_THAT(!decision->undefined || !decision->allow);
  REQUIRE_THAT(std::isfinite(decision->max_age) && decision->max_age >= 0);
  for (const std::string& range : decision->allowed_ips) {
    REQUIRE_THAT(warder::net::IpRange::parse(range).has_value());
  }
  return 0;
}
