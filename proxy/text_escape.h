#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace warder::proxy {

// Bytes from peers and the kernel, made fit to be shown. In all of these a byte that can't stand
// for itself becomes the four characters \xNN, and a backslash before an 'x' becomes \x5c, so that
// two different byte strings never look the same.

// Printable ASCII only: for terminals, and messages read there.
[[nodiscard]] std::string visible(std::string_view bytes);

// UTF-8 without the bytes that are not, and without DEL: for JSON, whose writer escapes the rest.
// What does not fit into `limit` bytes of input is cut off, and the end says how much that was.
[[nodiscard]] std::string valid_utf8(std::string_view bytes, std::size_t limit);

// Printable ASCII, at most `limit` characters: for values of header fields, where a CR or LF would
// begin another field.
[[nodiscard]] std::string header_text(std::string_view bytes, std::size_t limit);

}  // namespace warder::proxy
