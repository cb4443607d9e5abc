#include "net/tls/client_hello.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "require.h"

namespace {

using warder::tls::ClientHello;
using warder::tls::ClientHelloParser;
using warder::tls::ClientHelloReader;
using warder::tls::kClientHelloBytes;

const ClientHelloParser& parser() {
  static const ClientHelloParser kParser = ClientHelloParser::create().value();
  return kParser;
}

struct Outcome {
  std::optional<ClientHello> hello;
  std::size_t fed = 0;  // until it was known
  std::size_t size = 0;
};

Outcome read(std::string_view bytes, std::size_t piece) {
  ClientHelloReader reader(parser());
  Outcome outcome;
  while (!bytes.empty() && !outcome.hello) {
    const std::string_view next = bytes.substr(0, piece);
    bytes.remove_prefix(next.size());
    outcome.fed += next.size();
    if (!reader.feed(next)) continue;
    outcome.hello = reader.outcome();
    outcome.size = reader.size();
  }
  return outcome;
}

bool same(const ClientHello& a, const ClientHello& b) {
  return a.kind == b.kind && a.server_name == b.server_name && a.host == b.host &&
         a.encrypted == b.encrypted && a.detail == b.detail;
}

void check(const ClientHello& hello, std::string_view bytes) {
  REQUIRE_THAT(hello.kind == ClientHello::Kind::tls || !hello.detail.empty());
  REQUIRE_THAT((hello.kind == ClientHello::Kind::not_tls) == (bytes[0] != 0x16));
  if (hello.kind != ClientHello::Kind::tls) return;
  if (!hello.server_name) {
    REQUIRE_THAT(!hello.host);
    return;
  }
  REQUIRE_THAT(!hello.server_name->empty());
  if (!hello.host) return;
  // A host has what the name has, but for case, the last dot and the form of an address.
  REQUIRE_THAT(hello.host->address || hello.host->name.size() == hello.server_name->size() ||
               (hello.host->name.size() + 1 == hello.server_name->size() &&
                hello.server_name->back() == '.'));
}

}  // namespace

// However the bytes are cut, the result is the same, and it is there within the bound.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const Outcome whole = read(bytes, size);
  const Outcome bytewise = read(bytes, 1);
  const Outcome pieces = read(bytes, 1 + size % 61);
  for (const Outcome* cut : {&bytewise, &pieces}) {
    REQUIRE_THAT(cut->hello.has_value() == whole.hello.has_value());
    REQUIRE_THAT(!whole.hello || same(*cut->hello, *whole.hello));
  }
  REQUIRE_THAT(bytewise.fed <= kClientHelloBytes);
  if (!whole.hello) return 0;
  check(*whole.hello, bytes);
  if (whole.hello->kind == ClientHello::Kind::tls) {
    REQUIRE_THAT(whole.size == bytewise.fed && bytewise.size == bytewise.fed);
  }
  // Nothing behind it matters.
  const Outcome alone = read(bytes.substr(0, bytewise.fed), size);
  REQUIRE_THAT(alone.hello && same(*alone.hello, *whole.hello));
  return 0;
}
