#include "proxy/decisions/story.h"

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "opa-client/json.h"
#include "proxy/decisions/event.h"
#include "proxy/decisions/instant.h"
#include "proxy/decisions/line_reader.h"
#include "proxy/text_escape.h"

namespace warder::decisions {
namespace {

using proxy::visible;
using rapidjson::Value;

constexpr opa::JsonLimits kParseLimits{LineReader::kLongest, 64};
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

// What either log has of a caller, shown.
struct Caller {
  std::string binary, grade, assurance, causes, reason, detail, ancestors, sha256;
};

Caller caller_of_event(const Value* input) {
  const Value* identity = member(input, "identity");
  return {shown(input, "binary"),    shown(identity, "grade"),  shown(identity, "assurance"),
          shown(identity, "causes"), shown(identity, "reason"), shown(identity, "detail"),
          shown(input, "ancestors"), shown(input, "sha256")};
}

Caller caller_of_record(const Value& record) {
  return {shown(&record, "binary"),
          shown(&record, "grade"),
          shown(&record, "assurance"),
          shown(&record, "causes"),
          shown(&record, "identity_reason"),
          shown(&record, "identity_detail"),
          {},
          shown(&record, "sha256")};
}

std::string destination(const Value* input) {
  std::string host = shown(input, "host");
  if (host.find(':') != std::string::npos) host = "[" + host + "]";
  return joined(host, ":", shown(input, "port"));
}

std::string outcome_of(bool allowed, bool audit) {
  return !allowed ? "deny" : audit ? "allow, but only because it is audited" : "allow";
}

std::string_view raw(const Value* value) {
  return value == nullptr || !value->IsString()
             ? std::string_view()
             : std::string_view(value->GetString(), value->GetStringLength());
}

// But for `detail`: Warder's own words, with many of them.
bool has_semicolon(const Value& value) {
  if (value.IsString()) return raw(&value).find(';') != std::string_view::npos;
  if (value.IsArray()) {
    const auto entries = value.GetArray();
    return std::any_of(entries.begin(), entries.end(), has_semicolon);
  }
  if (!value.IsObject()) return false;
  const auto members = value.GetObject();
  return std::any_of(members.begin(), members.end(), [](const auto& entry) {
    return raw(&entry.name) != "detail" && has_semicolon(entry.value);
  });
}

// What Warder's records say of requests, as far as all of them are told.
class Recorded {
 public:
  void add(const LoggedLine& line, const Value& record);
  // What the record of the request has in place of this decision; empty where Warder received it,
  // or that can't be said.
  [[nodiscard]] std::string instead_of(const std::string& decision,
                                       const std::string& request) const;

 private:
  bool whole_ = true;
  std::unordered_set<std::string> decisions_;
  std::unordered_map<std::string, std::string> without_;  // answers, by request
};

void Recorded::add(const LoggedLine& line, const Value& record) {
  if (line.count > 1 || line.left_out > 0) whole_ = false;
  const std::string id = shown(&record, "decision_id");
  decisions_.insert(id);
  decisions_.insert(shown(&record, "last_decision_id"));
  if (shown(&record, "event") != "decision" || !id.empty()) return;
  const std::string answer = joined(shown(&record, "status"), " ", shown(&record, "code"));
  std::string& answers = without_[shown(&record, "request_id")];
  if (answers.find(answer) == std::string::npos) answers = joined(answers, ", ", answer);
}

std::string Recorded::instead_of(const std::string& decision, const std::string& request) const {
  const auto found = without_.find(request);
  const bool received = request.empty() || decisions_.contains(decision);
  return !whole_ || received || found == without_.end() ? std::string() : found->second;
}

class Story {
 public:
  Story(bool brief, const Recorded& recorded) : brief_(brief), recorded_(recorded) {}

  void event(const LoggedLine& line, const Value& event);
  void record(const LoggedLine& line, const Value& record);
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void line(std::string_view title, const std::string& what) {
    if (!what.empty()) text_ += fmt::format("{:<13}{}\n", title, what);
  }
  void paragraph(const LoggedLine& begun) {
    if (!text_.empty()) text_ += '\n';
    if (begun.left_out > 0) line("left out", fmt::format("{} more\n", begun.left_out));
  }
  // If `parted`, each part on a line of its own: a denial has a hint for every policy that came
  // near. `detail`, which may be in it, is not divided.
  void why(const Value* reason, const Value* detail, bool parted);
  void caller(const Caller& caller);
  void found(const Value* identity);
  void process(const Value& process);
  void carried(const Value* identity);
  // Each entry of a list on a line of its own, as far as they are shown.
  template <class Tell>
  void each(const Value* list, Tell tell);
  void asked(const std::string& method, const Value* input, const std::string& path);
  void result(const Value& event);
  void origin(const Value& event);
  void decision(const Value& record);
  void evidence(const Value& record);
  void closing(const Value& record);

  const bool brief_;
  std::string text_;
  const Recorded& recorded_;
  // Decisions whose events were told, and whether their reasons are divided: not if a semicolon may
  // be of a name that the caller chose, which could put words of its own on a line.
  std::unordered_map<std::string, bool> told_;
};

void Story::why(const Value* reason, const Value* detail, bool parted) {
  if (!parted || reason == nullptr || !reason->IsString()) return line("why", shown(reason));
  std::string_view title = "why";
  std::string_view left = raw(reason);
  const std::string_view kept = raw(detail);
  while (!left.empty()) {
    const std::size_t inside = kept.empty() ? std::string_view::npos : left.find(kept);
    std::size_t end = left.find("; ");
    if (inside <= end && inside != std::string_view::npos)
      end = left.find("; ", inside + kept.size());
    line(title, visible(left.substr(0, end)));
    left.remove_prefix(end == std::string_view::npos ? left.size() : end + 2);
    title = "";
  }
}

void Story::caller(const Caller& caller) {
  std::string who = caller.binary.empty() ? "(no program that can be named)" : caller.binary;
  const std::string known =
      joined(joined(caller.grade, ", ", caller.assurance), ": ", caller.causes);
  if (!known.empty()) who += fmt::format(" ({})", known);
  line("caller", who);
  line("unknown", joined(caller.reason, ": ", caller.detail));
  line("started by", caller.ancestors);
  line("sha256", caller.sha256);
}

// Where, and how.
void Story::found(const Value* identity) {
  line("scope", joined(shown(identity, "scope"), ", by ", shown(identity, "method")));
}

template <class Tell>
void Story::each(const Value* list, Tell tell) {
  if (list == nullptr || !list->IsArray()) return;
  std::size_t count = 0;
  for (const Value& entry : list->GetArray()) {
    if (++count > kMostListed) break;
    tell(entry);
  }
  if (list->Size() > kMostListed) line("", fmt::format("{} more", list->Size() - kMostListed));
}

// Connections of whom: a record has paths.
void Story::carried(const Value* identity) {
  if (shown(identity, "relays") == "true") line("relays", "connections of other programs");
  each(member(identity, "via"), [this](const Value& entry) {
    line("carries", entry.IsString() ? shown(&entry)
                                     : fmt::format("pid {} uid {}: {}", shown(&entry, "pid"),
                                                   shown(&entry, "uid"), shown(&entry, "path")));
  });
}

void Story::asked(const std::string& method, const Value* input, const std::string& path) {
  line("asked for", joined(joined(method, " ", destination(input)), " ", path));
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
  const std::string ancestors = shown(&process, "ancestors");
  if (!ancestors.empty()) line("", "  started by " + ancestors);
  for (const char* key : {"container", "pod", "command_line", "sha256"}) {
    const std::string value = shown(&process, key);
    if (!value.empty()) line("", fmt::format("  {} {}", key, value));
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

void Story::result(const Value& event) {
  if (const Value* error = member(&event, "error")) {
    line("outcome", "error");
    return line("why", shown(error));
  }
  const Value* result = member(&event, "result");
  if (result == nullptr) {
    return line("outcome", "undefined: the policy has nothing to say at " + shown(&event, "path"));
  }
  const Value* allow = result->IsBool() ? result : member(result, "allow");
  line("outcome",
       outcome_of(allow != nullptr && allow->IsTrue(), shown(result, "would_deny") == "true"));
  const Value* input = member(&event, "input");
  why(member(result, "reason"), member(member(input, "identity"), "detail"),
      told_.at(shown(&event, "decision_id")));
  for (const char* key :
       {"policy", "enforcement", "allowed_ips", "max_age", "sni", "read_only", "revision"}) {
    line(key, shown(result, key));
  }
}

void Story::event(const LoggedLine& logged, const Value& event) {
  paragraph(logged);
  const Value* input = member(&event, "input");
  const Value* request = member(input, "request");
  const Value* identity = member(input, "identity");
  const std::string id = shown(&event, "decision_id");
  const std::string request_id = shown(input, "request_id");
  told_[id] = input != nullptr && !has_semicolon(*input);
  line("decision", id);
  line("request", request_id);
  line("when", shown(&event, "timestamp"));
  const Caller who = caller_of_event(input);
  caller(who);
  asked(shown(request, "method"), input,
        shown(request, "kind") == "forward" ? shown(request, "path") : "");
  result(event);
  const std::string instead = recorded_.instead_of(id, request_id);
  if (!instead.empty()) line("received", "no: Warder did not get this answer, and said " + instead);
  if (!brief_) found(identity);
  // Where no one name covers them, they are who it was.
  if (!brief_ || who.binary.empty()) {
    each(member(identity, "processes"), [this](const Value& entry) { process(entry); });
  }
  carried(identity);
  if (brief_) return;
  const Value* client = member(input, "client");
  line("client", joined(shown(client, "address"), " port ", shown(client, "port")));
  origin(event);
}

void Story::decision(const Value& record) {
  const std::string id = shown(&record, "decision_id");
  const bool reused = shown(&record, "reused") == "true";
  std::string answered = joined(shown(&record, "status"), " ", shown(&record, "code"));
  if (reused) answered += ", by the answer to an earlier question, " + id;
  line("answered", answered);
  if (!reused) line("decision", id);
  line("request", shown(&record, "request_id"));
  // Of what OPA's log has, too, the short form says once who and what.
  const auto told = told_.find(id);
  const bool whole = !brief_ || reused || id.empty() || told == told_.end();
  if (whole) caller(caller_of_record(record));
  const bool connect = shown(&record, "kind") == "connect";
  asked(connect ? "CONNECT" : shown(&record, "http_method"), &record, shown(&record, "path"));
  const std::string verdict = shown(&record, "decision");
  line("outcome", verdict == "allow" || verdict == "deny"
                      ? outcome_of(verdict == "allow", shown(&record, "would_deny") == "true")
                      : verdict);
  // A record does not have all names that may be in it.
  why(member(&record, "reason"), member(&record, "identity_detail"),
      told != told_.end() && told->second);
  line("policy", shown(&record, "policy"));
  if (whole) evidence(record);
  line("client", shown(&record, "client"));
  if (brief_) return;
  line("took", fmt::format("{} us to find the caller, {} us to ask OPA",
                           shown(&record, "identity_us"), shown(&record, "opa_us")));
}

// What a record has of what an event says of each process.
void Story::evidence(const Value& record) {
  found(&record);
  const std::string pid = shown(&record, "pid");
  if (!pid.empty()) line("process", fmt::format("pid {} uid {}", pid, shown(&record, "uid")));
  line("container", shown(&record, "container"));
  line("connector", shown(&record, "connector"));
  each(member(&record, "holders"), [this](const Value& path) { line("holder", shown(&path)); });
  carried(&record);
}

void Story::closing(const Value& record) {
  line("closed by", joined(shown(&record, "closed_by"), ": ", shown(&record, "close_reason")));
  const std::string up = shown(&record, "bytes_up");
  if (!up.empty()) {
    line("carried", fmt::format("{} bytes to the origin, {} from it, in {} ms", up,
                                shown(&record, "bytes_down"), shown(&record, "duration_ms")));
  }
}

void Story::record(const LoggedLine& logged, const Value& record) {
  paragraph(logged);
  const std::string kind = shown(&record, "event");
  std::string what = joined(kind, " at ", shown(&record, "ts"));
  if (logged.count > 1) {
    what += fmt::format(", the last of {} alike since {}", logged.count, visible(logged.since));
  }
  line("record", what);
  if (kind == "decision") return decision(record);
  closing(record);
  if (kind == "repeated") {
    line("stands for", fmt::format("{} refusals within {} ms", shown(&record, "count"),
                                   shown(&record, "window_ms")));
  }
}

// Those that can be understood.
template <class Take>
void each_document(const std::vector<LoggedLine>& lines, Take take) {
  for (const LoggedLine& line : lines) {
    if (const auto document = opa::parse_json(line.text, kParseLimits)) take(line, *document);
  }
}

}  // namespace

std::string tell_story(const std::vector<LoggedLine>& events,
                       const std::vector<LoggedLine>& records, bool brief) {
  Recorded recorded;
  each_document(records,
                [&](const LoggedLine& line, const auto& record) { recorded.add(line, record); });
  Story story(brief, recorded);
  each_document(events,
                [&](const LoggedLine& line, const auto& event) { story.event(line, event); });
  each_document(records,
                [&](const LoggedLine& line, const auto& record) { story.record(line, record); });
  return story.text();
}

}  // namespace warder::decisions
