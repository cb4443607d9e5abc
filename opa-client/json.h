#pragma once

#include <rapidjson/document.h>

#include <cstddef>
#include <string_view>

#include "net/result.h"

namespace warder::opa {

struct JsonLimits {
  std::size_t bytes = 1 << 20;
  unsigned depth = 32;  // of nested arrays and objects
};

// The one place where foreign JSON is read. Stricter than RFC 8259 requires: no byte order mark, no
// key twice in one object, no lone surrogates, nothing but blanks after the document. The document
// owns all it holds. Errors: opa_too_large, opa_not_json; `detail` names the byte or the key.
[[nodiscard]] Result<rapidjson::Document> parse_json(std::string_view text, JsonLimits limits = {});

}  // namespace warder::opa
