#include "opa-client/decision.h"

#include <fmt/format.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "net/address.h"
#include "opa-client/json.h"

namespace warder::opa {
namespace {

using rapidjson::Value;

constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxRanges = 1024;
constexpr std::size_t kMaxDecisionId = 128;
constexpr std::size_t kMaxRefusal = 512;

const Value* find(const Value& object, const char* key) {
  const auto member = object.FindMember(key);
  return member == object.MemberEnd() ? nullptr : &member->value;
}

tl::unexpected<Error> bad(std::string_view key, std::string_view what) {
  return fail(Errc::opa_bad_answer, fmt::format("\"{}\" {}", key, what));
}

Result<std::optional<std::string>> read_text(const Value& object, const char* key) {
  const Value* value = find(object, key);
  if (value == nullptr || value->IsNull()) return std::nullopt;
  if (!value->IsString()) return bad(key, "is not a string");
  if (value->GetStringLength() > kMaxText) return bad(key, "is too long");
  return std::string(text_of(*value));
}

Result<bool> read_bool(const Value& object, const char* key) {
  const Value* value = find(object, key);
  if (value == nullptr) return false;
  if (!value->IsBool()) return bad(key, "is not a boolean");
  return value->GetBool();
}

Result<double> read_max_age(const Value& object) {
  const Value* value = find(object, "max_age");
  if (value == nullptr) return 0.0;
  if (!value->IsNumber()) return bad("max_age", "is not a number");
  if (value->GetDouble() < 0) return bad("max_age", "is negative");
  return value->GetDouble();
}

// A check that is not known can't be made, so the answer is of no use.
Result<std::optional<std::string>> read_sni(const Value& object) {
  Result<std::optional<std::string>> sni = read_text(object, "sni");
  if (sni && *sni && **sni != "match") return bad("sni", "is not \"match\"");
  return sni;
}

Result<std::vector<std::string>> read_allowed_ips(const Value& object) {
  std::vector<std::string> ranges;
  const Value* value = find(object, "allowed_ips");
  if (value == nullptr) return ranges;
  if (!value->IsArray()) return bad("allowed_ips", "is not an array");
  if (value->Size() > kMaxRanges) return bad("allowed_ips", "has too many entries");
  ranges.reserve(value->Size());
  for (const Value& entry : value->GetArray()) {
    if (!entry.IsString()) return bad("allowed_ips", "has an entry that is not a string");
    std::string range(text_of(entry));
    if (!net::IpRange::parse(range)) {
      return bad("allowed_ips",
                 fmt::format("has \"{}\", not an address or a range", range.substr(0, 64)));
    }
    ranges.push_back(std::move(range));
  }
  return ranges;
}

Result<std::optional<std::string>> read_decision_id(const Value& answer) {
  const Value* value = find(answer, "decision_id");
  if (value == nullptr) return std::nullopt;
  if (!value->IsString()) return bad("decision_id", "is not a string");
  const std::string_view id = text_of(*value);
  if (id.empty() || id.size() > kMaxDecisionId) return bad("decision_id", "is empty or too long");
  const bool printable =
      std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 127; });
  if (!printable) return bad("decision_id", "has a character other than printable ASCII");
  return std::string(id);
}

// Moves a value out of a Result into its place, or hands on the error.
template <class T>
std::optional<Error> store(Result<T> from, T& into) {
  if (!from) return std::move(from.error());
  into = std::move(*from);
  return std::nullopt;
}

std::optional<Error> read_texts(const Value& result, Decision& decision) {
  if (auto error = store(read_text(result, "reason"), decision.reason)) return error;
  if (auto error = store(read_text(result, "policy"), decision.policy)) return error;
  if (auto error = store(read_text(result, "enforcement"), decision.enforcement)) return error;
  if (auto error = store(read_text(result, "revision"), decision.revision)) return error;
  // Two policies without a revision could not be told apart by it.
  if (decision.revision && decision.revision->empty()) decision.revision.reset();
  return std::nullopt;
}

std::optional<Error> read_terms(const Value& result, Decision& decision) {
  if (auto error = store(read_allowed_ips(result), decision.allowed_ips)) return error;
  if (auto error = store(read_max_age(result), decision.max_age)) return error;
  if (auto error = store(read_sni(result), decision.sni)) return error;
  return store(read_bool(result, "read_only"), decision.read_only);
}

std::optional<Error> read_result(const Value& result, Decision& decision) {
  if (result.IsBool()) {
    decision.allow = result.GetBool();
    return std::nullopt;
  }
  if (!result.IsObject()) {
    return Error{Errc::opa_bad_answer, 0, "\"result\" is neither an object nor a boolean"};
  }
  if (find(result, "allow") == nullptr) {
    return Error{Errc::opa_bad_answer, 0, "\"allow\" is missing in \"result\""};
  }
  if (auto error = read_texts(result, decision)) return error;
  if (auto error = read_terms(result, decision)) return error;
  if (auto error = store(read_bool(result, "would_deny"), decision.would_deny)) return error;
  return store(read_bool(result, "allow"), decision.allow);
}

// An answer while it is read. The usual one takes nothing from the heap.
class ParsedAnswer {
 public:
  ParsedAnswer() = default;
  ParsedAnswer(const ParsedAnswer&) = delete;
  ParsedAnswer& operator=(const ParsedAnswer&) = delete;

  Result<void> parse(std::string_view body) {
    if (auto parsed = parse_json(body, document_); !parsed) return parsed;
    if (!document_.IsObject()) return fail(Errc::opa_bad_answer, "the answer is not an object");
    return {};
  }
  [[nodiscard]] const Value& object() const { return document_; }

 private:
  static constexpr std::size_t kBytes = 4096;
  std::array<char, kBytes> bytes_;
  rapidjson::MemoryPoolAllocator<> pool_{bytes_.data(), bytes_.size()};
  rapidjson::Document document_{&pool_};
};

// " code: message", as much of it as there is.
std::string code_and_message(const Value& object) {
  std::string text;
  const Value* code = find(object, "code");
  const Value* message = find(object, "message");
  if (code != nullptr && code->IsString()) text += fmt::format(" {}", text_of(*code));
  if (message != nullptr && message->IsString()) text += fmt::format(": {}", text_of(*message));
  return text;
}

bool is_invalid_parameter(const Value& object) {
  const Value* code = find(object, "code");
  return code != nullptr && code->IsString() && text_of(*code) == "invalid_parameter";
}

bool is_of_evaluation(const Value& error) {
  const Value* code = error.IsObject() ? find(error, "code") : nullptr;
  return code != nullptr && code->IsString() && text_of(*code).starts_with("eval_");
}

}  // namespace

Result<Decision> parse_answer(std::string_view body) {
  ParsedAnswer answer;
  if (auto parsed = answer.parse(body); !parsed) return fail(std::move(parsed.error()));

  Decision decision;
  if (auto error = store(read_decision_id(answer.object()), decision.decision_id)) {
    return fail(std::move(*error));
  }
  const Value* result = find(answer.object(), "result");
  decision.undefined = result == nullptr;
  if (result != nullptr) {
    if (auto error = read_result(*result, decision)) return fail(std::move(*error));
  }
  return decision;
}

Result<Document> parse_document(std::string_view body) {
  ParsedAnswer answer;
  if (auto parsed = answer.parse(body); !parsed) return fail(std::move(parsed.error()));
  Document document;
  if (const Value* result = find(answer.object(), "result")) {
    rapidjson::StringBuffer text;
    rapidjson::Writer writer(text);
    // Fails only where there is no room for it.
    if (!result->Accept(writer)) return fail(Errc::opa_bad_answer, "\"result\" can't be written");
    document.result.emplace(text.GetString(), text.GetSize());
  }
  return document;
}

Error refusal(int status, std::string_view body) {
  // 413 is that of servers in front of OPA.
  Error error{status == 413 ? Errc::opa_refused : Errc::opa_status, 0, std::to_string(status)};
  const Result<rapidjson::Document> document = parse_json(body);
  if (!document || !document->IsObject()) return error;
  error.detail += code_and_message(*document);
  // Also for a question above its limit. A 400 without it is of Go's server (HTTP to a TLS port).
  if (status == 400 && is_invalid_parameter(*document)) error.code = Errc::opa_refused;
  const Value* errors = find(*document, "errors");
  if (errors != nullptr && errors->IsArray()) {
    // One after the other would be from several rules; the first is where to begin.
    const auto all = errors->GetArray();
    const auto* const first = std::find_if(all.begin(), all.end(), is_of_evaluation);
    if (first != all.end()) {
      error.code = Errc::opa_policy_error;
      error.detail += ":" + code_and_message(*first);
    }
  }
  if (error.detail.size() > kMaxRefusal) error.detail.resize(kMaxRefusal);
  return error;
}

}  // namespace warder::opa
