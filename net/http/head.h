#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/http/authority.h"
#include "net/result.h"

namespace warder::http {

struct Header {
  std::string name;   // as sent
  std::string value;  // without surrounding blanks
};

// What the request asks of a proxy.
enum class RequestForm {
  connect,   // CONNECT host:port
  absolute,  // GET http://host/…
  origin,    // GET /… : not a proxy request
  asterisk,  // OPTIONS *
};

struct RequestHead {
  std::string method;
  std::string target;  // as sent
  RequestForm form = RequestForm::origin;
  int major = 1;
  int minor = 1;
  // connect: the target. absolute: of the URL, port filled in from the scheme.
  std::optional<Authority> authority;
  std::string scheme;  // absolute form: lower case; else empty
  std::vector<Header> headers;

  // The value of the first header of that name (any case), nullptr when there is none.
  [[nodiscard]] const std::string* header(std::string_view name) const;
};

struct HeadLimits {
  std::size_t head_bytes = 65536;  // request line and headers with their line ends
  std::size_t target_bytes = 8192;
  std::size_t headers = 128;
};

// Reads one request head, strictly. Feed it bytes as they come, in pieces of any size.
class RequestHeadReader {
 public:
  explicit RequestHeadReader(HeadLimits limits);
  ~RequestHeadReader();
  RequestHeadReader(const RequestHeadReader&) = delete;
  RequestHeadReader& operator=(const RequestHeadReader&) = delete;

  // How many of `bytes` belong to the head; once done() the rest is what follows the head and is
  // the caller's to keep. After an error the reader is finished. Errors: bad_request,
  // bad_authority, head_too_large, unknown_method, unsupported_version; `detail` names the rule
  // and, where there is one, the byte.
  [[nodiscard]] Result<std::size_t> feed(std::span<const char> bytes);
  [[nodiscard]] bool done() const;
  [[nodiscard]] bool started() const;  // at least one byte was fed
  // Once, after done().
  [[nodiscard]] RequestHead take();
  // What is known of the request so far, for the record of one that failed: method and target as
  // far as they were read (bounded by the limits), authority when the target parsed.
  [[nodiscard]] const RequestHead& partial() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace warder::http
