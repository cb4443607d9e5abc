#include "proxy/record_format.h"

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstddef>
#include <ctime>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "proxy/config_values.h"
#include "proxy/metrics.h"
#include "proxy/text_escape.h"

namespace warder::proxy {
namespace {

constexpr std::size_t kStringLimit = 4096;  // a path has at most PATH_MAX bytes
constexpr std::size_t kListLimit = 32;

using FieldValue = std::variant<std::nullptr_t, bool, std::int64_t, std::uint64_t, std::string_view,
                                std::string, const std::vector<std::string>*>;

FieldValue value_of(std::string_view text) { return text; }

template <class T>
FieldValue value_of(const std::optional<T>& value) {
  if (!value) return nullptr;
  if constexpr (std::is_same_v<T, std::string>) {
    return std::string_view(*value);
  } else {
    return static_cast<std::int64_t>(*value);
  }
}

// The keys of one record in their order. Views only: lives no longer than the record.
struct Fields {
  std::string ts;
  std::uint64_t seq = 0;
  LogLevel level = LogLevel::info;
  std::string_view event;
  std::vector<std::pair<std::string_view, FieldValue>> rest;

  Fields(const Stamp& stamp, LogLevel record_level, std::string_view record_event)
      : ts(rfc3339(stamp.time)), seq(stamp.seq), level(record_level), event(record_event) {}
  void add(std::string_view key, FieldValue value) { rest.emplace_back(key, std::move(value)); }
};

using Json = rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::ASCII<>>;

struct JsonValue {
  Json& json;
  void operator()(std::nullptr_t) const { json.Null(); }
  void operator()(bool value) const { json.Bool(value); }
  void operator()(std::int64_t value) const { json.Int64(value); }
  void operator()(std::uint64_t value) const { json.Uint64(value); }
  void operator()(std::string_view value) const { json.String(valid_utf8(value, kStringLimit)); }
  void operator()(const std::vector<std::string>* list) const {
    json.StartArray();
    std::size_t count = 0;
    for (const std::string& item : *list) {
      if (++count > kListLimit) break;
      (*this)(std::string_view(item));
    }
    if (list->size() > kListLimit) json.String(fmt::format("({} more)", list->size() - kListLimit));
    json.EndArray();
  }
};

std::string json_line(const Fields& fields) {
  rapidjson::StringBuffer buffer;
  Json json(buffer);
  const JsonValue write{json};
  json.StartObject();
  json.Key("ts");
  json.String(fields.ts);
  json.Key("seq");
  json.Uint64(fields.seq);
  json.Key("level");
  json.String(show(fields.level));
  json.Key("event");
  write(fields.event);
  for (const auto& [key, value] : fields.rest) {
    const std::string shown = valid_utf8(key, kStringLimit);
    json.Key(shown.data(), static_cast<rapidjson::SizeType>(shown.size()));
    std::visit(write, value);
  }
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

std::string quote_if_needed(std::string_view bytes) {
  if (bytes.empty()) return "\"\"";
  std::string shown = visible(bytes.substr(0, kStringLimit));
  if (bytes.size() > kStringLimit) {
    shown += fmt::format(" ({} bytes more)", bytes.size() - kStringLimit);
  }
  if (shown.find_first_of(" \"=,") == std::string::npos) return shown;
  std::string out = "\"";
  for (const char byte : shown) {
    if (byte == '"') {
      out += "\\x22";
    } else {
      out += byte;
    }
  }
  return out + '"';
}

struct TextValue {
  std::string operator()(std::nullptr_t) const { return {}; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return std::to_string(value); }
  std::string operator()(std::uint64_t value) const { return std::to_string(value); }
  std::string operator()(std::string_view value) const { return quote_if_needed(value); }
  std::string operator()(const std::vector<std::string>* list) const {
    std::string out;
    for (std::size_t i = 0; i < list->size() && i < kListLimit; ++i) {
      if (i > 0) out += ',';
      out += quote_if_needed((*list)[i]);
    }
    if (list->size() > kListLimit) out += fmt::format(",({} more)", list->size() - kListLimit);
    return out;
  }
};

std::string text_line(const Fields& fields) {
  std::string line = fmt::format("{} {:5} {} seq={}", fields.ts, show(fields.level),
                                 visible(fields.event), fields.seq);
  for (const auto& [key, value] : fields.rest) {
    const std::string shown = std::visit(TextValue{}, value);
    if (!shown.empty()) line += fmt::format(" {}={}", visible(key), shown);
  }
  return line + "\n";
}

std::string line_of(const Fields& fields, LogFormat form) {
  return form == LogFormat::json ? json_line(fields) : text_line(fields);
}

void add_target(Fields& fields, const Subject& subject) {
  fields.add("binary", value_of(subject.binary));
  fields.add("pid", value_of(subject.pid));
  fields.add("uid", value_of(subject.uid));
  fields.add("host", value_of(subject.host));
  fields.add("port", value_of(subject.port));
  fields.add("kind", value_of(name(subject.kind)));
  if (subject.kind != Kind::forward) return;
  fields.add("http_method", value_of(subject.http_method));
  fields.add("path", value_of(subject.path));
}

void add_ids(Fields& fields, const Subject& subject) {
  fields.add("decision_id", value_of(subject.decision_id));
  fields.add("request_id", value_of(subject.request_id));
  fields.add("client", subject.client.text());
}

}  // namespace

LogLevel level_of(const DecisionRecord& record) {
  switch (record.verdict) {
    case Verdict::allow: return LogLevel::info;
    case Verdict::deny: return LogLevel::warn;
    case Verdict::error: return LogLevel::error;
  }
  return LogLevel::error;
}

LogLevel level_of(const TunnelRecord& /*record*/) { return LogLevel::info; }
LogLevel level_of(const Diagnostic& record) { return record.level; }
LogLevel level_of(const RepeatedDenial& record) {
  return record.verdict == Verdict::error ? LogLevel::error : LogLevel::warn;
}
LogLevel level_of(const Dropped& /*record*/) { return LogLevel::error; }

std::string format(const Stamp& stamp, const DecisionRecord& record, LogFormat form) {
  Fields fields(stamp, level_of(record), "decision");
  fields.add("decision", value_of(name(record.verdict)));
  fields.add("code", value_of(record.code));
  fields.add("reason", value_of(record.reason));
  add_target(fields, record.subject);
  fields.add("scope", value_of(record.scope));
  fields.add("method", value_of(record.method));
  fields.add("grade", value_of(record.grade));
  fields.add("assurance", value_of(record.assurance));
  fields.add("causes", &record.causes);
  fields.add("identity_reason", value_of(record.identity_reason));
  fields.add("identity_detail", value_of(record.identity_detail));
  fields.add("holders", &record.holders);
  fields.add("connector", value_of(record.connector));
  fields.add("sha256", value_of(record.sha256));
  fields.add("container", value_of(record.container));
  fields.add("relays", record.relays);
  fields.add("via", &record.via);
  fields.add("policy", value_of(record.policy));
  fields.add("would_deny", record.would_deny);
  fields.add("reused", record.reused);
  add_ids(fields, record.subject);
  fields.add("status", std::int64_t{record.status});
  fields.add("identity_us", value_of(record.identity_us));
  fields.add("opa_us", value_of(record.opa_us));
  return line_of(fields, form);
}

std::string format(const Stamp& stamp, const TunnelRecord& record, LogFormat form) {
  const bool request = record.subject.kind == Kind::forward;
  Fields fields(stamp, level_of(record), request ? "request" : "tunnel");
  fields.add("bytes_up", record.bytes_up);
  fields.add("bytes_down", record.bytes_down);
  fields.add("duration_ms", record.duration_ms);
  fields.add("closed_by", value_of(name(record.closed_by)));
  fields.add("close_reason", value_of(record.close_reason));
  add_target(fields, record.subject);
  add_ids(fields, record.subject);
  return line_of(fields, form);
}

std::string format(const Stamp& stamp, const Diagnostic& record, LogFormat form) {
  Fields fields(stamp, level_of(record), record.event);
  fields.add("message", value_of(record.message));
  for (const auto& [key, value] : record.fields) fields.add(key, value_of(value));
  return line_of(fields, form);
}

std::string format(const Stamp& stamp, const RepeatedDenial& record, LogFormat form) {
  Fields fields(stamp, level_of(record), "repeated");
  fields.add("decision", value_of(name(record.verdict)));
  fields.add("code", value_of(record.code));
  fields.add("count", record.count);
  fields.add("window_ms", std::int64_t{record.window.count()});
  fields.add("binary", value_of(record.binary));
  fields.add("host", value_of(record.host));
  fields.add("port", value_of(record.port));
  fields.add("last_decision_id", value_of(record.last_decision_id));
  fields.add("last_request_id", value_of(record.last_request_id));
  return line_of(fields, form);
}

std::string format(const Stamp& stamp, const Dropped& record, LogFormat form) {
  Fields fields(stamp, level_of(record), "dropped");
  fields.add("message", value_of("records were lost: standard output was not read fast enough"));
  fields.add("count", record.count);
  return line_of(fields, form);
}

std::string rfc3339(std::chrono::system_clock::time_point time) {
  using std::chrono::microseconds;
  const auto since = std::chrono::floor<microseconds>(time.time_since_epoch());
  const auto whole = std::chrono::floor<std::chrono::seconds>(since);
  const auto seconds = static_cast<std::time_t>(whole.count());
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     (since - whole).count());
}

const char* name(Kind kind) {
  switch (kind) {
    case Kind::connect: return "connect";
    case Kind::forward: return "forward";
    case Kind::socks5: return "socks5";
    case Kind::transparent: return "transparent";
  }
  return "unknown";
}

const char* name(ClosedBy side) {
  switch (side) {
    case ClosedBy::client: return "client";
    case ClosedBy::origin: return "origin";
    case ClosedBy::proxy: return "proxy";
  }
  return "proxy";
}

}  // namespace warder::proxy
