#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace warder::bench {

// What the origin answers: /12 with kSmallBody, /1m with kLargeBytes bytes, and a request with a
// body with the number of its bytes in twelve digits.
inline constexpr std::string_view kSmallBody = "hello world\n";
inline constexpr std::size_t kLargeBytes = std::size_t{1} << 20;
inline constexpr std::string_view kUploadAnswer = "000001048576";

// The origin's role: an HTTP/1.1 server on these ports of 127.0.0.1, keep-alive, one thread. It
// knows only what the comparison needs: Content-Length, no chunked bodies. Returns, with an exit
// status, only when it can't go on.
[[nodiscard]] int serve_as_origin(const std::vector<std::uint16_t>& ports);

}  // namespace warder::bench
