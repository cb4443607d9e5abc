#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/head.h"
#include "net/result.h"

namespace warder::http {

struct ResponseHead {
  int status = 0;      // 100..999
  std::string reason;  // as sent; may be empty, may hold bytes from 0x80
  int major = 1;
  int minor = 1;
  std::vector<Header> headers;

  // The value of the first header of that name (any case), nullptr when there is none.
  [[nodiscard]] const std::string* header(std::string_view name) const;
};

// What an origin's head may be; target_bytes is the limit of the reason phrase.
constexpr HeadLimits kResponseHeadLimits{65536, 8192, 256};

// Reads one response head, as strictly as requests are read, with one liberty: a status line
// without reason phrase may lack the space before it, which many origins forget. Feed it bytes as
// they come, in pieces of any size.
class ResponseHeadReader {
 public:
  explicit ResponseHeadReader(HeadLimits limits);
  ~ResponseHeadReader();
  ResponseHeadReader(const ResponseHeadReader&) = delete;
  ResponseHeadReader& operator=(const ResponseHeadReader&) = delete;

  // How many of `bytes` belong to the head; once done() the rest is what follows the head and is
  // the caller's to keep. After an error the reader is finished. The only error is bad_response;
  // `detail` names the rule or limit and, where there is one, the byte.
  [[nodiscard]] Result<std::size_t> feed(std::span<const char> bytes);
  [[nodiscard]] bool done() const;
  [[nodiscard]] bool started() const;  // at least one byte was fed
  // Once, after done(). For the next head (after a 1xx, for instance) take a new reader.
  [[nodiscard]] ResponseHead take();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace warder::http
