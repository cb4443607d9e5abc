#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/head.h"
#include "net/http/response_head.h"
#include "net/result.h"

namespace warder::http {

// Where a body ends.
enum class Framing { none, length, chunked, until_close };

struct BodyFraming {
  Framing kind = Framing::none;
  std::uint64_t length = 0;  // of Framing::length

  friend bool operator==(const BodyFraming&, const BodyFraming&) = default;
};

// RFC 9112 section 6.3, without the cases in which two readers may differ: those are bad_request
// and bad_response. One Content-Length of digits below 2^63, or one Transfer-Encoding that is
// `chunked` alone, in HTTP/1.1. CONNECT has no body and must not speak of one.
[[nodiscard]] Result<BodyFraming> request_framing(const RequestHead& head);

// HEAD, 1xx, 204 and 304 have none, whatever they say. Not for the 2xx of CONNECT.
[[nodiscard]] Result<BodyFraming> response_framing(const ResponseHead& head,
                                                   std::string_view request_method);

struct BodyLimits {
  std::size_t chunk_line_bytes = 4096;  // size and extensions of one chunk, with the line end
  std::size_t trailer_bytes = 16384;
  std::size_t trailers = 64;
};

// Reads one body strictly and never a byte beyond its end. Feed it bytes as they come, in pieces of
// any size; payload is referenced where it lies, not copied.
class BodyReader {
 public:
  struct Piece {
    std::size_t used = 0;   // bytes of the input that are done with, `data` included
    std::string_view data;  // the last of them that are payload; lives as long as the input
    bool done = false;
  };

  // `malformed` (bad_request, bad_response) is the error for what breaks the rules or a limit.
  BodyReader(BodyFraming framing, BodyLimits limits, Errc malformed);
  ~BodyReader();
  BodyReader(const BodyReader&) = delete;
  BodyReader& operator=(const BodyReader&) = delete;

  // Goes on to the end of the next contiguous payload, of the body, or of the input: call again
  // until the input is used up or the body done. After an error every call returns it.
  [[nodiscard]] Result<Piece> feed(std::span<const char> bytes);
  // A body that has no bytes is done from the start.
  [[nodiscard]] bool done() const { return state_ == State::done; }
  // The stream ended: closed_by_peer, unless the body is done or is the one that ends so.
  [[nodiscard]] Result<void> finish();
  // Once, after done(): the trailer fields, without those that RFC 9110 section 6.5.1 forbids
  // there.
  [[nodiscard]] std::vector<Header> take_trailers();

 private:
  struct Trailers;
  enum class State {
    plain,  // length_ more bytes, or all there are
    size,
    extension_start,
    extension_name,
    extension_value,
    extension_token,
    extension_quoted,
    extension_escape,
    extension_after_quoted,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailers,
    done,
  };

  Result<Piece> feed_plain(std::string_view bytes);
  Result<Piece> feed_chunked(std::string_view bytes);
  Result<void> take_byte(char c);
  Result<void> take_size(char c);
  Result<void> take_extension(char c);
  [[nodiscard]] std::optional<State> after_extension_byte(char c) const;
  Result<void> end_size_line();
  Result<void> take_line_byte(char c);
  std::string_view take_data(std::string_view bytes);
  [[nodiscard]] tl::unexpected<Error> bad(std::string_view rule) const;
  [[nodiscard]] tl::unexpected<Error> bad_byte(char c, std::string_view where) const;

  BodyFraming framing_;
  BodyLimits limits_;
  Errc malformed_;
  State state_;
  std::uint64_t left_ = 0;      // payload bytes of this body or chunk that are to come
  std::uint64_t offset_ = 0;    // bytes of the body so far, for messages
  std::size_t digits_ = 0;      // of the chunk's size
  std::size_t line_ = 0;        // bytes of the chunk's first line
  std::uint64_t overhead_ = 0;  // bytes of chunk lines that the payload doesn't make up for
  std::optional<Error> error_;
  std::unique_ptr<Trailers> trailers_;
};

// Appends `data` as one chunk; nothing when it is empty, because an empty chunk is the last one.
void append_chunk(std::string& out, std::string_view data);

// Ends a chunked body.
void append_last_chunk(std::string& out, const std::vector<Header>& trailers);

}  // namespace warder::http
