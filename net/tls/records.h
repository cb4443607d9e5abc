#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace warder::tls {

// RFC 8446 section 6.
enum class AlertDescription : std::uint8_t {
  access_denied = 49,
  decode_error = 50,
  missing_extension = 109,
  unrecognized_name = 112,
};

// The record of a fatal alert, as a server sends it in answer to a ClientHello.
[[nodiscard]] std::string fatal_alert(AlertDescription description);

// What a server began its answer to a ClientHello with.
enum class ServerAnswer {
  incomplete,
  hello_retry,  // a HelloRetryRequest: another ClientHello follows, in the clear
  other,        // anything else, TLS or not
};
[[nodiscard]] ServerAnswer read_server_answer(std::string_view bytes);

// The length of the whole records at the beginning of `bytes` that a client may send between two
// ClientHellos: change_cipher_spec (RFC 8446 appendix D.4) and early data. nullopt while the last
// of them is not whole, and while nothing follows.
[[nodiscard]] std::optional<std::size_t> before_second_hello(std::string_view bytes);

}  // namespace warder::tls
