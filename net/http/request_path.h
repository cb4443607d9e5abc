#pragma once

#include <optional>
#include <string>
#include <vector>

#include "net/http/head.h"
#include "net/result.h"

namespace warder::http {

// Which resource of its authority a request names. The raw forms are the bytes of the target; the
// canonical ones are what policies compare: escapes of unreserved characters decoded, the other
// escapes in upper case (RFC 3986 sections 6.2.2.1 and 6.2.2.2), nothing else touched. A plain
// value.
struct RequestPath {
  // The origin form, as it goes to the origin: path_raw and, behind a '?', query_raw.
  std::string raw;
  // "/" where the URL has none; "*" for OPTIONS where it has neither path nor query (RFC 9112
  // section 3.2.4).
  std::string path_raw, path;
  // Behind the first '?'; set, maybe empty, where there is one.
  std::optional<std::string> query_raw, query;
  // Why two readers of the path might see two paths, each word once, in this order:
  //   encoded_slash            %2F
  //   encoded_backslash        %5C
  //   encoded_nul              %00
  //   encoded_control          %01 to %1F, %7F
  //   encoded_question_mark    %3F
  //   encoded_number_sign      %23
  //   encoded_percent          %25 and two hexadecimal digits: an escape for who decodes twice
  //   dot_segment              "." or ".." between slashes
  //   backslash                a '\' as it is
  //   path_parameter           ';' or %3B
  //   double_slash             a segment without a byte that isn't the last
  //   non_utf8                 escapes that are not UTF-8, overlong forms too
  // Escapes of unreserved characters are seen through: %2E is a dot.
  std::vector<std::string> doubts;
};

// From the target of an absolute-form request as a RequestHeadReader made it. Error: bad_request
// for a '%' without two hexadecimal digits, in path or query; `detail` names the byte.
[[nodiscard]] Result<RequestPath> read_request_path(const RequestHead& head);

}  // namespace warder::http
