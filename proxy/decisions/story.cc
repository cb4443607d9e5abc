#include "proxy/decisions/story.h"

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "opa-client/json.h"
#include "proxy/decisions/event.h"
#include "proxy/decisions/instant.h"
#include "proxy/text_escape.h"

namespace warder::decisions {
namespace {

using proxy::visible;
using rapidjson::Value;

constexpr opa::JsonLimits kLimits{1 << 20, 64};
constexpr std::size_t kMostListed = 32;

// A member, or null where there is none, or no object.
const Value* member(const Value* object, const char* name) {
  if (object == nullptr || !object->IsObject()) return nullptr;
  const auto found = object->FindMember(name);
  return found == object->MemberEnd() || found->value.IsNull() ? nullptr : &found->value;
}

// For people, escaped; empty where there is nothing.
std::string shown(const Value* value) {
  if (value == nullptr) return {};
  if (value->IsString()) return visible({value->GetString(), value->GetStringLength()});
  if (value->IsBool()) return value->GetBool() ? "true" : "false";
  if (value->IsArray()) {
    std::string list;
    std::size_t count = 0;
    for (const Value& entry : value->GetArray()) {
      if (++count > kMostListed) break;
      list += (list.empty() ? "" : ", ") + shown(&entry);
    }
    if (value->Size() > kMostListed) list += fmt::format(", {} more", value->Size() - kMostListed);
    return list;
  }
  rapidjson::StringBuffer buffer;
  rapidjson::Writer<rapidjson::StringBuffer, rapidjson::UTF8<>, rapidjson::ASCII<>> json(buffer);
  value->Accept(json);
  return visible({buffer.GetString(), buffer.GetSize()});
}

std::string shown(const Value* object, const char* name) { return shown(member(object, name)); }

std::string joined(std::string left, std::string_view between, const std::string& right) {
  if (left.empty()) return right;
  return right.empty() ? left : left.append(between).append(right);
}

class Story {
 public:
  explicit Story(bool brief) : brief_(brief) {}

  void event(const Value& event);
  void record(const Value& record);
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void line(std::string_view title, const std::string& what) {
    if (!what.empty()) text_ += fmt::format("{:<13}{}\n", title, what);
  }
  void paragraph() {
    if (!text_.empty()) text_ += '\n';
  }
  // Each part on a line of its own: a denial has a hint for every policy that came near.
  void why(std::string reason);
  void caller(const Value* input);
  void process(const Value& process);
  void processes(const Value* identity);
  void via(const Value* identity);
  void answer(const Value* result);
  void origin(const Value& event);

  const bool brief_;
  std::string text_;
};

void Story::why(std::string reason) {
  std::string_view title = "why";
  while (!reason.empty()) {
    const std::size_t end = reason.find("; ");
    line(title, reason.substr(0, end));
    reason.erase(0, end == std::string::npos ? end : end + 2);
    title = "";
  }
}

void Story::caller(const Value* input) {
  const Value* identity = member(input, "identity");
  std::string who = shown(input, "binary");
  if (who.empty()) who = "(no program that can be named)";
  const std::string causes = shown(identity, "causes");
  std::string known = joined(shown(identity, "grade"), ", ", shown(identity, "assurance"));
  known = joined(known, ": ", causes);
  if (!known.empty()) who += fmt::format(" ({})", known);
  line("caller", who);
  line("unknown", joined(shown(identity, "reason"), ": ", shown(identity, "detail")));
  line("started by", shown(input, "ancestors"));
  if (!brief_) line("sha256", shown(input, "sha256"));
}

void Story::process(const Value& process) {
  std::string what =
      fmt::format("pid {} uid {} gid {}, {}: {}", shown(&process, "pid"), shown(&process, "uid"),
                  shown(&process, "gid"), shown(&process, "role"), shown(&process, "path"));
  for (const char* flag : {"deleted", "image_writable", "traced"}) {
    const Value* set = member(&process, flag);
    if (set != nullptr && set->IsTrue()) what += fmt::format(", {}", flag);
  }
  line("process", what);
  line("", joined("", "", shown(&process, "ancestors")).insert(0, "  started by "));
  for (const char* key : {"container", "pod", "command_line", "sha256"}) {
    const std::string value = shown(&process, key);
    if (!value.empty()) line("", fmt::format("  {} {}", key, value));
  }
}

void Story::processes(const Value* identity) {
  const Value* list = member(identity, "processes");
  if (list == nullptr || !list->IsArray()) return;
  std::size_t count = 0;
  for (const Value& entry : list->GetArray()) {
    if (++count > kMostListed) break;
    process(entry);
  }
  if (list->Size() > kMostListed) line("", fmt::format("{} more", list->Size() - kMostListed));
}

void Story::via(const Value* identity) {
  const Value* list = member(identity, "via");
  if (list == nullptr || !list->IsArray()) return;
  std::size_t count = 0;
  for (const Value& entry : list->GetArray()) {
    if (++count > kMostListed) break;
    line("carries", fmt::format("pid {} uid {}: {}", shown(&entry, "pid"), shown(&entry, "uid"),
                                shown(&entry, "path")));
  }
}

void Story::answer(const Value* result) {
  line("policy", shown(result, "policy"));
  if (brief_) return;
  for (const char* key :
       {"enforcement", "allowed_ips", "max_age", "sni", "read_only", "revision"}) {
    line(key, shown(result, key));
  }
}

void Story::origin(const Value& event) {
  const Value* labels = member(&event, "labels");
  line("bundles", shown(&event, "bundles"));
  // What OPA's mask took out (system.log, rego/README.md).
  line("masked", shown(&event, "erased"));
  line("OPA", joined(shown(labels, "id"), ", version ", shown(labels, "version")));
  const Value* metrics = member(&event, "metrics");
  const auto took = [&](const char* name) {
    const Value* value = member(metrics, name);
    return value != nullptr && value->IsUint64() ? show_duration(value->GetUint64()) : "";
  };
  line("took",
       joined(took("timer_server_handler_ns"), ", evaluation ", took("timer_rego_query_eval_ns")));
}

std::string destination(const Value* input) {
  std::string host = shown(input, "host");
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return joined(host, ":", shown(input, "port"));
}

void Story::event(const Value& event) {
  paragraph();
  const Value* input = member(&event, "input");
  const Value* request = member(input, "request");
  const Value* result = member(&event, "result");
  line("decision", shown(&event, "decision_id"));
  line("request", shown(input, "request_id"));
  line("when", shown(&event, "timestamp"));
  caller(input);
  std::string asked = joined(shown(request, "method"), " ", destination(input));
  if (shown(request, "kind") == "forward") asked += " " + shown(request, "path");
  line("asked for", asked);
  if (const Value* error = member(&event, "error")) {
    line("outcome", "error");
    why(shown(error));
  } else if (result == nullptr) {
    line("outcome", "undefined: the policy has nothing to say at " + shown(&event, "path"));
  } else {
    const Value* allow = result->IsBool() ? result : member(result, "allow");
    const bool audit = shown(result, "would_deny") == "true";
    const bool allowed = allow != nullptr && allow->IsTrue();
    line("outcome", !allowed ? "deny" : audit ? "allow, but only because it is audited" : "allow");
    why(shown(result, "reason"));
    answer(result);
  }
  if (brief_) return;
  const Value* identity = member(input, "identity");
  line("scope", joined(shown(identity, "scope"), ", by ", shown(identity, "method")));
  processes(identity);
  via(identity);
  const Value* client = member(input, "client");
  line("client", joined(shown(client, "address"), " port ", shown(client, "port")));
  origin(event);
}

void Story::record(const Value& record) {
  paragraph();
  const std::string kind = shown(&record, "event");
  line("record", joined(kind, " at ", shown(&record, "ts")));
  if (kind == "decision") {
    std::string answered = joined(shown(&record, "status"), " ", shown(&record, "code"));
    if (shown(&record, "reused") == "true") {
      answered += ", by the answer to an earlier question, " + shown(&record, "decision_id");
    }
    line("answered", answered);
    line("request", shown(&record, "request_id"));
    line("caller", joined(shown(&record, "binary"), " from ", shown(&record, "client")));
    line("asked for", destination(&record));
    why(shown(&record, "reason"));
    if (!brief_) {
      line("took", fmt::format("{} us to find the caller, {} us to ask OPA",
                               shown(&record, "identity_us"), shown(&record, "opa_us")));
    }
    return;
  }
  line("closed by", joined(shown(&record, "closed_by"), ": ", shown(&record, "close_reason")));
  const std::string up = shown(&record, "bytes_up");
  if (!up.empty()) {
    line("carried", fmt::format("{} bytes to the origin, {} from it, in {} ms", up,
                                shown(&record, "bytes_down"), shown(&record, "duration_ms")));
  }
  if (kind == "repeated") {
    line("stands for", fmt::format("{} refusals within {} ms", shown(&record, "count"),
                                   shown(&record, "window_ms")));
  }
}

}  // namespace

std::string tell_story(const std::vector<std::string>& events,
                       const std::vector<std::string>& records, bool brief) {
  Story story(brief);
  for (const std::string& text : events) {
    if (const auto document = opa::parse_json(text, kLimits)) story.event(*document);
  }
  for (const std::string& text : records) {
    if (const auto document = opa::parse_json(text, kLimits)) story.record(*document);
  }
  return story.text();
}

}  // namespace warder::decisions
