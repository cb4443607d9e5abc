#include "opa-client/query.h"

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <string_view>

#include "net/utf8.h"

namespace warder::opa {
namespace {

// RapidJSON's, with a short way for what is written as it is: it decodes and looks at each
// character alone, and nearly all of a document is such text.
class Writer
    : public rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::ASCII<>> {
 public:
  using rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::ASCII<>>::Writer;

  // Of printable ASCII without quotation marks and backslashes (RFC 8259, section 7).
  void plain(std::string_view text) {
    Prefix(rapidjson::kStringType);
    char* const at = os_->Push(text.size() + 2);
    at[0] = '"';
    std::memcpy(at + 1, text.data(), text.size());
    at[text.size() + 1] = '"';
  }
};

bool is_plain(std::string_view text) {
  unsigned char odd = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    odd |= static_cast<unsigned char>(byte < 0x20 || byte > 0x7E || byte == '"' || byte == '\\');
  }
  return odd == 0;
}

std::string hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 0x0F];
  }
  return text;
}

// Writes members of the document; names are literals of this file. A passing member is one that is
// another each time a program asks the same.
class DocumentWriter {
 public:
  explicit DocumentWriter(rapidjson::StringBuffer& buffer) : writer_(buffer) {}

  void begin_object() { writer_.StartObject(); }
  void begin_object(std::string_view key) {
    name(key);
    writer_.StartObject();
  }
  void end_object() { writer_.EndObject(); }
  void begin_array(std::string_view key, std::size_t /*size*/) {
    name(key);
    writer_.StartArray();
  }
  void end_array() { writer_.EndArray(); }

  void passing_string(std::string_view key, const std::string& value) { string(key, value); }
  void string(std::string_view key, const std::string& value) {
    name(key);
    if (text(value)) return;
    writer_.Null();
    name(std::string(key) + "_hex");
    writer_.plain(hex(value));
  }
  void optional_string(std::string_view key, const std::optional<std::string>& value) {
    if (value) return string(key, *value);
    null(key);
  }
  void passing_string(std::string_view key, const std::optional<std::string>& value) {
    optional_string(key, value);
  }
  void null(std::string_view key) {
    name(key);
    writer_.Null();
  }
  void boolean(std::string_view key, bool value) {
    name(key);
    writer_.Bool(value);
  }
  template <class Number>
  void passing_number(std::string_view key, Number value) {
    number(key, value);
  }
  void number(std::string_view key, std::int64_t value) {
    name(key);
    writer_.Int64(value);
  }
  void number(std::string_view key, std::uint64_t value) {
    name(key);
    writer_.Uint64(value);
  }
  void strings(std::string_view key, const std::vector<std::string>& values) {
    bool all_text = true;
    begin_array(key, values.size());
    for (const std::string& value : values) {
      if (!text(value)) {
        writer_.Null();
        all_text = false;
      }
    }
    end_array();
    if (!all_text) hex_strings(std::string(key) + "_hex", values);
  }

 private:
  void hex_strings(std::string_view key, const std::vector<std::string>& values) {
    begin_array(key, values.size());
    for (const std::string& value : values) {
      if (is_utf8(value)) {
        writer_.Null();
      } else {
        writer_.plain(hex(value));
      }
    }
    end_array();
  }
  void name(std::string_view key) { writer_.plain(key); }
  // False, and nothing written, where it is not UTF-8: RapidJSON's Writer would stop in the middle
  // of the document.
  bool text(std::string_view value) {
    if (is_plain(value)) {
      writer_.plain(value);
      return true;
    }
    if (!is_utf8(value)) return false;
    writer_.String(value.data(), static_cast<rapidjson::SizeType>(value.size()));
    return true;
  }

  Writer writer_;
};

// Writes the members' values with their lengths, in the document's order, without the passing ones.
// As the members are always the same, equal bytes mean equal values.
class KeyWriter {
 public:
  explicit KeyWriter(std::string& out) : out_(out) {}

  void begin_object() {}
  void begin_object(std::string_view /*key*/) {}
  void end_object() {}
  void begin_array(std::string_view /*key*/, std::size_t size) { append(size); }
  void end_array() {}
  template <class String>
  void passing_string(std::string_view /*key*/, const String& /*value*/) {}
  template <class Number>
  void passing_number(std::string_view /*key*/, Number /*value*/) {}
  void string(std::string_view /*key*/, const std::string& value) { append(value); }
  void optional_string(std::string_view /*key*/, const std::optional<std::string>& value) {
    out_ += value ? '\1' : '\0';
    if (value) append(*value);
  }
  void boolean(std::string_view /*key*/, bool value) { out_ += value ? '\1' : '\0'; }
  void number(std::string_view /*key*/, std::int64_t value) {
    append(static_cast<std::uint64_t>(value));
  }
  void number(std::string_view /*key*/, std::uint64_t value) { append(value); }
  void strings(std::string_view /*key*/, const std::vector<std::string>& values) {
    append(values.size());
    for (const std::string& value : values) append(value);
  }

 private:
  void append(std::uint64_t value) {
    const auto bytes = std::bit_cast<std::array<char, sizeof(value)>>(value);
    out_.append(bytes.data(), bytes.size());
  }
  void append(const std::string& value) {
    append(value.size());
    out_ += value;
  }

  std::string& out_;
};

template <class Out>
void write_request(Out& out, const Query::Request& request) {
  out.begin_object("request");
  out.string("kind", request.kind);
  out.string("method", request.method);
  out.optional_string("scheme", request.scheme);
  out.optional_string("path", request.path);
  out.optional_string("path_raw", request.path_raw);
  out.optional_string("query", request.query);
  out.optional_string("query_raw", request.query_raw);
  out.strings("doubts", request.doubts);
  out.end_object();
}

template <class Out>
void write_client(Out& out, const Query::Client& client) {
  out.begin_object("client");
  out.string("address", client.address);
  out.passing_number("port", std::uint64_t{client.port});
  out.end_object();
}

template <class Out>
void write_process(Out& out, const QueryProcess& process) {
  out.begin_object();
  out.passing_number("pid", process.pid);
  out.number("uid", process.uid);
  out.number("gid", process.gid);
  out.passing_number("start_time", process.start_time);
  out.optional_string("binary", process.binary);
  out.string("path", process.path);
  out.strings("names", process.names);
  out.optional_string("sha256", process.sha256);
  out.strings("role", process.role);
  out.boolean("deleted", process.deleted);
  out.boolean("image_writable", process.image_writable);
  out.boolean("traced", process.traced);
  out.strings("ancestors", process.ancestors);
  out.boolean("ancestors_complete", process.ancestors_complete);
  out.optional_string("container", process.container);
  out.optional_string("pod", process.pod);
  out.optional_string("command_line", process.command_line);
  out.end_object();
}

template <class Out>
void write_via(Out& out, const QueryVia& via) {
  out.begin_object();
  out.passing_number("pid", via.pid);
  out.number("uid", via.uid);
  out.optional_string("binary", via.binary);
  out.string("path", via.path);
  out.end_object();
}

template <class Out>
void write_identity(Out& out, const Query::Identity& identity) {
  out.begin_object("identity");
  out.string("grade", identity.grade);
  out.string("assurance", identity.assurance);
  out.strings("causes", identity.causes);
  out.optional_string("reason", identity.reason);
  out.passing_string("detail", identity.detail);
  out.optional_string("scope", identity.scope);
  out.optional_string("method", identity.method);
  out.boolean("relays", identity.relays);
  out.begin_array("via", identity.via.size());
  for (const QueryVia& via : identity.via) write_via(out, via);
  out.end_array();
  out.boolean("via_complete", identity.via_complete);
  out.begin_array("processes", identity.processes.size());
  for (const QueryProcess& process : identity.processes) write_process(out, process);
  out.end_array();
  out.end_object();
}

// What is asked for, and by whom.
template <class Out>
void write_wanted(Out& out, const Query& query) {
  out.string("host", query.host);
  out.number("port", std::uint64_t{query.port});
  out.passing_string("request_id", query.request_id);
  write_request(out, query.request);
}

template <class Out>
void write_caller(Out& out, const Query& query) {
  out.optional_string("binary", query.binary);
  out.strings("ancestors", query.ancestors);
  out.optional_string("sha256", query.sha256);
  write_client(out, query.client);
  write_identity(out, query.identity);
}

constexpr std::size_t kUsualKey = 1024;  // bytes
constexpr std::size_t kUsualDocument = 2048;

}  // namespace

std::string to_json(const Query& query) {
  rapidjson::StringBuffer buffer(nullptr, kUsualDocument);
  DocumentWriter out(buffer);
  out.begin_object();
  out.begin_object("input");
  write_wanted(out, query);
  write_caller(out, query);
  out.end_object();
  out.end_object();
  return {buffer.GetString(), buffer.GetSize()};
}

std::string reuse_key(const Query& query) {
  std::string key;
  key.reserve(kUsualKey);
  KeyWriter out(key);
  write_wanted(out, query);
  write_caller(out, query);
  return key;
}

std::string caller_key(const Query& query) {
  std::string key;
  key.reserve(kUsualKey);
  KeyWriter out(key);
  write_caller(out, query);
  return key;
}

}  // namespace warder::opa
