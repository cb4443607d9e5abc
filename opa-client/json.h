#pragma once

#include <rapidjson/document.h>

#include <cstddef>
#include <span>
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
// The same into a document whose memory is somewhere else; after an error it holds anything.
[[nodiscard]] Result<void> parse_json(std::string_view text, rapidjson::Document& document,
                                      JsonLimits limits = {});

// The bytes of a string or a key, NUL among them. A view into the document.
[[nodiscard]] inline std::string_view text_of(const rapidjson::Value& value) {
  return {value.GetString(), value.GetStringLength()};
}

// Gets a document in its order, token by token. False ends the walk. Texts are views into the bytes
// that are walked. A number comes as it is written, and may be of any size.
class JsonVisitor {
 public:
  virtual ~JsonVisitor() = default;
  virtual bool on_null() = 0;
  virtual bool on_boolean(bool value) = 0;
  virtual bool on_number(std::string_view digits) = 0;
  virtual bool on_string(std::string_view text) = 0;
  virtual bool on_key(std::string_view text) = 0;
  virtual bool on_open(bool object) = 0;  // otherwise an array
  virtual bool on_close() = 0;
};

// For large logs: parse_json without a document. `text` ends with a NUL that is not part of the
// document, and is overwritten: decoded strings stand where the escaped ones stood. Unlike
// parse_json it doesn't look for keys that appear twice, and lets lone surrogates pass. Errors:
// those of parse_json; opa_bad_answer when the visitor ended the walk.
[[nodiscard]] Result<void> walk_json(std::span<char> text, JsonVisitor& visitor,
                                     JsonLimits limits = {});

}  // namespace warder::opa
