#pragma once

#include <catch2/catch_test_macros.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/lookup.h"
#include "tests/support/dns_server.h"
#include "tests/support/loop_fixture.h"

namespace warder::testing {

[[nodiscard]] inline net::IpAddress ip(std::string_view text) {
  return net::IpAddress::parse(text).value();
}

// A resolver that asks a name server of the test.
class LookupFixture : public LoopFixture {
 protected:
  using Answer = Result<std::vector<net::IpAddress>>;

  LookupFixture() { reopen({}); }

  void reopen(net::NameResolverOptions options) {
    options.server = server.address();
    resolver = net::make_name_resolver(loop(), std::move(options)).value();
  }

  // Looks up to the end.
  Answer resolve(const std::string& name) {
    std::optional<Answer> answer;
    const auto lookup = resolver->start(name, [&](Answer given) { answer = std::move(given); });
    CHECK_FALSE(answer.has_value());  // never before start() has returned
    REQUIRE(run_until([&] { return answer.has_value(); }));
    return *answer;
  }

  DnsServer server{loop()};
  std::unique_ptr<net::NameResolver> resolver;
};

}  // namespace warder::testing
