#include "proxy/policy_source.h"

#include <fmt/format.h>
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <tuple>
#include <utility>

#include "opa-client/json.h"
#include "proxy/policy_lines.h"
#include "proxy/program_output.h"

namespace warder::proxy {
namespace {

namespace fs = std::filesystem;
using rapidjson::Value;

constexpr opa::JsonLimits kLimits{std::size_t{256} << 20, 128};

// Each part is a list, so that one that is undefined leaves the others there.
constexpr std::string_view kQuery = R"({
  "known": [1 | data.egress.problems],
  "loaded": [LOADED],
  "problems": [p | some p in data.egress.problems],
  "binaries": [{"pointer": concat("/", ["network_policies", name, "binaries", format_int(i, 10)]),
      "path": object.get(b, "path", ""), "descendants": object.get(b, "descendants", false),
      "started_by": [p | some p in object.get(b, "started_by", [])],
      "sha256": is_string(object.get(b, "sha256", null))} |
    some [name, i, b] in sort(array.concat(
      [[name, i, b] |
        not data.egress_index
        some name, policy in data.network_policies
        some i, b in policy.binaries],
      [[name, to_number(i), entry.binary] |
        some name, policy in data.egress_index.policies
        some entries in policy.binaries
        some i, entry in entries]))
    is_object(b)],
  "index": [INDEX]
})";

std::string query(Wanted wanted) {
  std::string text(kQuery);
  const auto put = [&text](std::string_view mark, std::string_view part) {
    text.replace(text.find(mark), mark.size(), part);
  };
  const bool index = wanted == Wanted::index;
  // OPA may have been given what was built, which has no policies beside it.
  put("[LOADED]", index ? "[1 | data.network_policies]"
                        : "array.concat([1 | data.network_policies], [1 | data.egress_index])");
  put("[INDEX]", index ? "[i | i := data.egress.index]" : "[]");
  return text;
}

// Beside an installed program, or where it was built.
std::string package_of(const PolicySource& source) {
  if (!source.package.empty()) return source.package;
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* below : {"../share/warder/rego/egress", "../../rego/egress"}) {
    const fs::path candidate = (program / below).lexically_normal();
    if (fs::is_directory(candidate, error)) return candidate;
  }
  return {};
}

const Value* member(const Value& object, const char* key) {
  if (!object.IsObject()) return nullptr;
  const auto found = object.FindMember(key);
  return found == object.MemberEnd() ? nullptr : &found->value;
}

std::string text_of(const Value& object, const char* key) {
  const Value* const value = member(object, key);
  if (value == nullptr || !value->IsString()) return {};
  return {value->GetString(), value->GetStringLength()};
}

std::string as_json(const Value& value) {
  rapidjson::StringBuffer buffer;
  rapidjson::Writer writer(buffer);
  value.Accept(writer);
  return {buffer.GetString(), buffer.GetSize()};
}

// OPA's own: what it could not load or compile.
PolicyProblem load_problem(const Value& error) {
  PolicyProblem problem;
  problem.problem = text_of(error, "message");
  const Value* const location = member(error, "location");
  if (location == nullptr) return problem;
  problem.file = text_of(*location, "file");
  const Value* const row = member(*location, "row");
  if (row != nullptr && row->IsUint()) problem.line = row->GetUint();
  return problem;
}

PolicyProblem found_problem(const Value& item) {
  PolicyProblem problem;
  if (text_of(item, "severity") == "warning") problem.severity = PolicyProblem::Severity::warning;
  problem.path = text_of(item, "path");
  problem.problem = text_of(item, "problem");
  return problem;
}

PolicyBinary binary_of(const Value& item) {
  PolicyBinary binary;
  binary.pointer = text_of(item, "pointer");
  binary.path = text_of(item, "path");
  const Value* const descendants = member(item, "descendants");
  binary.descendants = descendants != nullptr && descendants->IsTrue();
  const Value* const sha256 = member(item, "sha256");
  binary.sha256 = sha256 != nullptr && sha256->IsTrue();
  const Value* const starters = member(item, "started_by");
  if (starters == nullptr || !starters->IsArray()) return binary;
  for (const Value& starter : starters->GetArray())
    if (starter.IsString())
      binary.started_by.emplace_back(starter.GetString(), starter.GetStringLength());
  return binary;
}

// The one value of the answer; nullptr where it has another form.
const Value* value_of(const Value& answer) {
  const Value* const result = member(answer, "result");
  if (result == nullptr || !result->IsArray() || result->Empty()) return nullptr;
  const Value* const expressions = member((*result)[0], "expressions");
  if (expressions == nullptr || !expressions->IsArray() || expressions->Empty()) return nullptr;
  return member((*expressions)[0], "value");
}

template <class Item>
bool read_list(const Value& value, const char* key, Item (*read)(const Value&),
               std::vector<Item>& out) {
  const Value* const list = member(value, key);
  if (list == nullptr || !list->IsArray()) return false;
  for (const Value& item : list->GetArray()) out.push_back(read(item));
  return true;
}

bool errors_first(const PolicyProblem& a, const PolicyProblem& b) {
  return std::tie(a.severity, a.path, a.problem) < std::tie(b.severity, b.path, b.problem);
}

// For an OPA that runs it is a warning of the package: its policies may be still to come.
void add_no_policies(std::vector<PolicyProblem>& problems) {
  const std::string key = "network_policies";
  std::erase_if(problems, [&](const PolicyProblem& problem) {
    return problem.severity == PolicyProblem::Severity::warning && problem.path == key;
  });
  problems.push_back({PolicyProblem::Severity::error, key,
                      "no policies are loaded: is the directory the right one, and is the key "
                      "spelled like this?",
                      "", 0});
}

}  // namespace

Result<Evaluation> parse_evaluation(const std::string& json) {
  const auto answer = opa::parse_json(json, kLimits);
  if (!answer)
    return fail(Errc::bad_config, "OPA's output is not JSON: " + describe(answer.error()));
  Evaluation evaluation;
  if (read_list(*answer, "errors", load_problem, evaluation.problems)) return evaluation;
  const Value* const value = value_of(*answer);
  const Value* const known = value == nullptr ? nullptr : member(*value, "known");
  const Value* const loaded = value == nullptr ? nullptr : member(*value, "loaded");
  const Value* const index = value == nullptr ? nullptr : member(*value, "index");
  if (known == nullptr || !known->IsArray() || loaded == nullptr || !loaded->IsArray() ||
      index == nullptr || !index->IsArray() ||
      !read_list(*value, "problems", found_problem, evaluation.problems) ||
      !read_list(*value, "binaries", binary_of, evaluation.binaries))
    return fail(Errc::bad_config, "OPA's output has not the form that was asked for");
  if (known->Empty())
    return fail(Errc::bad_config,
                "the policy package has no data.egress.problems: is it another one?");
  if (loaded->Empty()) add_no_policies(evaluation.problems);
  if (!index->Empty()) {
    evaluation.index = as_json((*index)[0]);
    evaluation.revision = text_of((*index)[0], "revision");
  }
  std::sort(evaluation.problems.begin(), evaluation.problems.end(), errors_first);
  return evaluation;
}

Result<Evaluation> evaluate(const PolicySource& source, Wanted wanted) {
  const std::string package = package_of(source);
  if (package.empty())
    return fail(Errc::bad_config,
                "the policy package is not beside this program: name it by --policy");
  const auto ran = run_program({source.opa, "eval", "--format", "json", "--ignore", "*_test.rego",
                                "--data", package, "--data", source.directory, query(wanted)});
  if (!ran && ran.error().code == Errc::not_found)
    return fail(
        Errc::bad_config,
        fmt::format("{}: there is no such program: install OPA, or name it by --opa", source.opa));
  if (!ran) return fail(Errc::bad_config, source.opa + ": " + describe(ran.error()));
  if (ran->out.empty())
    return fail(Errc::bad_config, fmt::format("{} ended with {}: {}", source.opa, ran->exit_code,
                                              ran->err.substr(0, 1024)));
  auto evaluation = parse_evaluation(ran->out);
  if (!evaluation) return fail(std::move(evaluation.error()));
  auto& problems = evaluation->problems;
  for (PolicyProblem& misplaced : wrong_keys(source.directory))
    problems.push_back(std::move(misplaced));
  std::sort(problems.begin(), problems.end(), errors_first);
  return evaluation;
}

}  // namespace warder::proxy
